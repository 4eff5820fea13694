"""Owns timing, the stores and the people: everything outside the child processes."""
