"""When jobs are due, and the one clock that says what time it is."""
