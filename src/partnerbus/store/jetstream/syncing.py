"""Whether what the servers acknowledge is on their disks, which only their monitoring says."""

import asyncio
import http.client
from urllib.parse import urlsplit

import msgspec

from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.telemetry import Log
from partnerbus.store.jetstream.address import Cluster

MONITOR_SECONDS = 5.0


class _JetStreamConfiguration(msgspec.Struct):
    sync_always: bool = False


class _JetStream(msgspec.Struct):
    config: _JetStreamConfiguration | None = None


class _Varz(msgspec.Struct):
    server_name: str = "?"
    jetstream: _JetStream | None = None


async def check_sync(cluster: Cluster, replicas: int, log: Log) -> None:
    """Warn if what a server acknowledges is not on its disk; refuse if it then is on no other server either.

    Only the servers' monitoring says so.
    """
    if not cluster.monitors:
        log.warning("sync_interval unknown", advice="name the servers' monitoring with --store-monitors")
        return
    lazy = [name for name in await asyncio.gather(*map(_lazy_server, cluster.monitors)) if name is not None]
    if lazy and replicas == 1:
        raise ConfigurationError(
            f"NATS server {', '.join(lazy)} acknowledges what is not on its disk, and the stream is on one "
            "server only: set `sync_interval: always` in its jetstream block"
        )
    if lazy:
        log.warning("acknowledged before it is on disk", servers=lazy, advice="sync_interval: always")


async def _lazy_server(monitor: str) -> str | None:
    """The name of the server whose monitoring that is, None if it syncs always."""
    try:
        found = msgspec.json.decode(await asyncio.to_thread(_read_varz, monitor), type=_Varz)
    except (OSError, http.client.HTTPException, msgspec.MsgspecError):
        raise ConfigurationError(
            f"store-monitors: {monitor} is not the monitoring of a NATS server"
        ) from None
    configuration = found.jetstream.config if found.jetstream is not None else None
    return None if configuration is not None and configuration.sync_always else found.server_name


def _read_varz(monitor: str) -> bytes:
    where = urlsplit(monitor)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    connection = kind(where.hostname or "", where.port, timeout=MONITOR_SECONDS)
    try:
        connection.request("GET", "/varz")
        return connection.getresponse().read()
    finally:
        connection.close()
