"""The embedded store keeps every promise of the protocol."""

from partnerbus.testing.store_contract import StoreContract


class TestEmbeddedStore(StoreContract):
    """`maker` comes from the conftest."""
