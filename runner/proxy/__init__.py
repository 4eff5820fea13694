"""The one way from a cell to a network: a process of its own, outside the cell, that decides, forwards and logs."""
