"""One file per kind of target, and what they share."""
