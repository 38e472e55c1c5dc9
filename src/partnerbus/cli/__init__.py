"""The commands. `serve` runs a node; every other one asks the admin face of the node that owns the folder."""
