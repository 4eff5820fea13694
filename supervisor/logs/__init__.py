"""What the supervisor says while it works, one line a step."""
