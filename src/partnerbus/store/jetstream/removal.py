"""Taking a whole store out of a cluster: for whoever made one only to try something."""

from partnerbus.store.jetstream.address import ClusterSettings, parse_cluster
from partnerbus.store.jetstream.session import Anything, ApiError, Session


async def remove_store(settings: ClusterSettings) -> None:
    """Delete the stream and the copies of the tables, if there are any; no node may run on it.

    Raises `ConfigurationError` if the cluster cannot be used, `StoreUnavailable` if it cannot be reached.
    """
    cluster = parse_cluster(settings)
    session = await Session.open(cluster)
    try:
        await session.check_enabled()
        for stream in (f"OBJ_{cluster.name}-copies", cluster.name):
            await _delete(session, stream)
    finally:
        await session.close()


async def _delete(session: Session, stream: str) -> None:
    try:
        await session.call(f"STREAM.DELETE.{stream}", {}, Anything)
    except ApiError as error:
        if not error.is_not_found:
            raise
