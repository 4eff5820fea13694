"""Trying whether it would work: hosts, cells, agents and jobs."""
