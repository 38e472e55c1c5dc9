"""The face of service `events` (2015-10-07): one file per family of resources."""
