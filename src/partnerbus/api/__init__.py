"""The faces: what callers say on the wire, and nothing of it below this layer."""
