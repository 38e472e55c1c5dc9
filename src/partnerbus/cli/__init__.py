"""The commands. `serve` runs a node; the others ask the admin face of the node that owns the folder.

`pattern` needs neither.
"""
