"""The store of one process in one folder, on SQLite."""

from partnerbus.store.embedded.store import EmbeddedStore

__all__ = ["EmbeddedStore"]
