"""Where everything durable lives: the protocol (`protocol.py`) and what implements it."""
