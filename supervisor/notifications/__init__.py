"""Telling people that a run is over: owed on disk, delivered apart from any run."""
