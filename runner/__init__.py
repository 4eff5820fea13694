"""The child process of one attempt: confines, starts the agent, relays, judges, reports."""
