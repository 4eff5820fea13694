"""What two processes must agree on: messages and their framing. Standard library only."""
