"""Whether a due occurrence starts now, waits, or is skipped; and whether it is tried again."""
