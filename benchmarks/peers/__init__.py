"""What we are measured beside. Its programs run in an environment of their own, below the cache directory."""
