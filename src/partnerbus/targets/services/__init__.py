"""AWS services as targets, one file per service."""
