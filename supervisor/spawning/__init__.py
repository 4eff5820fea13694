"""From an admitted run to its runner process, and from that process's end to a record."""
