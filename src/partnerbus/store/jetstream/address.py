"""Where the cluster is, and what it takes to be let in."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

import msgspec

from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.nats_client import Access
from partnerbus.kernel.nats_credentials import Credentials, read_credentials, tls_context

NAME = "partnerbus"
PORT = 4222

_URL = re.compile(r"(nats|tls)://(?:([^/@]*)@)?([^/@]+)(?:/([^/]*))?")
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

SHAPE = "nats://[user:password@]host[:port],…[/name]"


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator says of the cluster. The files are those of `nats_credentials`.

    `replicas` is how many servers keep the stream; None takes what it has, or for a new one what the number
    of servers allows. `monitors` are URLs of the servers' monitoring. `seal` tells the key that seals this
    node's secrets from others (all nodes of a store must have the same), once the folder is locked.
    """

    url: str
    credentials: Path | None = None
    authorities: Path | None = None
    certificate: Path | None = None
    replicas: int | None = None
    monitors: Sequence[str] = ()
    seal: Callable[[], str] = str

    def __repr__(self) -> str:
        return "ClusterSettings(***)"


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster that can be connected to; `name` is the stream's, so that several stores fit in one."""

    servers: Sequence[str]
    name: str
    access: Access
    replicas: int | None
    monitors: Sequence[str]
    seal: Callable[[], str]

    def __str__(self) -> str:
        return f"{','.join(self.servers)}/{self.name}"

    __repr__ = __str__


def parse_cluster(settings: ClusterSettings) -> Cluster:
    """The cluster of `settings`; a `ConfigurationError`, without a secret, says what is wrong."""
    found = _URL.fullmatch(settings.url)
    if found is None:
        raise ConfigurationError(f"store must be like {SHAPE}")
    scheme, user, hosts, name = found.groups()
    if user is not None and settings.credentials is not None:
        raise ConfigurationError(
            "store has credentials in its URL, and store-credentials names a file of others"
        )
    if name and not _NAME.fullmatch(name):
        raise ConfigurationError(f"store: a name has letters, digits, - and _, which {name!r} has not alone")
    return Cluster(
        servers=[f"{scheme}://{_host(host)}" for host in hosts.split(",")],
        name=name or NAME,
        access=Access(
            read_credentials(settings.credentials, "store") if user is None else _credentials(user),
            tls_context(settings.authorities, settings.certificate, "store"),
        ),
        replicas=settings.replicas,
        monitors=settings.monitors,
        seal=settings.seal,
    )


def named(url: str, name: str) -> str:
    """The URL of the store of that name in the cluster of `url`."""
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigurationError(f"store must be like {SHAPE}")
    return f"{url[: found.end(3)]}/{name}"


def _host(text: str) -> str:
    found = _HOST.fullmatch(text)
    if found is None:
        raise ConfigurationError(f"store: {text!r} is no host; the URL must be like {SHAPE}")
    return found.group(1) + (found.group(2) or f":{PORT}")


def _credentials(text: str) -> Credentials:
    user, colon, password = text.partition(":")
    if not colon:
        return Credentials(token=unquote(user))
    return Credentials(user=unquote(user), password=unquote(password))
