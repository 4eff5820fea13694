"""Owns timing, the stores and the people: everything outside the child processes."""

__version__ = "0.1.0"
