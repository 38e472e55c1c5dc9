"""HTTP: the wire protocol, signatures, limits."""
