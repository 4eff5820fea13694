"""The agents that cronward brings itself: each a program of its own, run inside the cell."""
