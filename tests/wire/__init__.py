"""Everything that a request may be, sent over a real socket to a real server."""
