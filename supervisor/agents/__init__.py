"""Agents as data: how each is found, started, read and logged in to."""
