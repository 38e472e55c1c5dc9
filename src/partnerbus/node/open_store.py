"""Which store a node keeps everything in: its data folder, or a cluster that it shares with other nodes."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import Log
from partnerbus.node.settings import Settings
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.embedded.table_store import TableStore

if TYPE_CHECKING:
    from partnerbus.store.jetstream import ClusterSettings


class OpensStore(Protocol):
    """Opens the store of the node whose folder that is.

    `seal` tells the node's key file from others; it is only asked once the folder is locked.
    """

    async def __call__(
        self, folder: Path, clock: Clock, failpoints: Failpoints, seal: Callable[[], str], /
    ) -> TableStore: ...


async def open_embedded(
    folder: Path, clock: Clock, failpoints: Failpoints, _: Callable[[], str]
) -> TableStore:
    """Open the store in the folder."""
    return await EmbeddedStore.open(folder, clock, failpoints)


def store_opener(settings: Settings, log: Log) -> OpensStore:
    """What opens the store that `settings` name."""
    if not settings.store:
        return open_embedded
    require_cluster_client()

    async def open_shared(
        folder: Path, clock: Clock, failpoints: Failpoints, seal: Callable[[], str]
    ) -> TableStore:
        # here, since a node without a cluster needs no NATS client
        from partnerbus.store.jetstream import JetStreamStore

        return await JetStreamStore.open(cluster_settings(settings, seal), folder, clock, failpoints, log)

    return open_shared


def require_cluster_client() -> None:
    """A `ConfigurationError` if this installation cannot talk to a cluster."""
    if find_spec("nats") is None:
        raise ConfigurationError("store is a NATS cluster, but partnerbus[jetstream] is not installed")


def cluster_settings(settings: Settings, seal: Callable[[], str]) -> "ClusterSettings":
    """What `settings` say of the cluster."""
    from partnerbus.store.jetstream import ClusterSettings

    return ClusterSettings(
        url=settings.store,
        credentials=_path(settings.store_credentials),
        authorities=_path(settings.store_ca),
        certificate=_path(settings.store_certificate),
        replicas=settings.replicas or None,
        monitors=[url for url in settings.store_monitors.split(",") if url],
        seal=seal,
    )


def _path(text: str) -> Path | None:
    return Path(text) if text else None
