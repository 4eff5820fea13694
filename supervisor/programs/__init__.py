"""From the name of a program to the files that a cell must show for it to run."""
