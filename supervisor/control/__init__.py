"""How people's requests reach the scheduler: over a socket, or to the stores themselves."""
