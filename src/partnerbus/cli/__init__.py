"""The commands. `serve` runs a node and `pattern` needs none; the others ask the admin face of the folder's owner."""
