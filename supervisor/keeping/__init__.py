"""Keeping a supervisor going when nobody is logged in."""
