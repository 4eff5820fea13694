"""What is on disk: written whole, by one writer at a time, and read with mistrust."""
