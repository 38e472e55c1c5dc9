"""A store of its own in a cluster, for as long as something is tried there."""

from collections.abc import Mapping
from secrets import token_hex

import msgspec

from partnerbus.node.open_store import cluster_settings, require_cluster_client
from partnerbus.node.settings import Settings, table

OF_THE_CLUSTER = (
    "store",
    "store_credentials",
    "store_ca",
    "store_certificate",
    "store_monitors",
    "replicas",
)


def trial_settings(settings: Settings, what: str) -> Settings:
    """The settings of a node of a new store, named after `what` is tried, in the same cluster.

    Without a cluster nothing is changed.
    """
    if not settings.store:
        return settings
    require_cluster_client()
    from partnerbus.store.jetstream.address import NAME, named  # here: it needs the NATS client

    store = named(settings.store, f"{NAME}-{what}-{token_hex(4)}")
    return msgspec.structs.replace(settings, store=store)


def store_environment(settings: Settings) -> Mapping[str, str]:
    """What tells another process of ours which store that is, and no other user of the machine sees."""
    values = {name: str(getattr(settings, name)) for name in OF_THE_CLUSTER}
    return {table()[name].variable: value for name, value in values.items() if settings.store and value}


async def remove_trial(settings: Settings) -> None:
    """Take the store away, if it was made; an error if the cluster is not there or cannot be used."""
    if settings.store:
        from partnerbus.store.jetstream.removal import remove_store

        await remove_store(cluster_settings(settings, str))
