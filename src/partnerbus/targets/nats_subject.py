"""NATS subjects as targets: the input is published to a subject of the operator's servers.

Servers and credentials are the operator's, and it is the operator who says which subjects an account may
publish to; an ARN names only the subject.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import msgspec

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.nats_credentials import read_credentials, tls_context
from partnerbus.model.arns import Arn
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import Rule, Target
from partnerbus.targets.invoker import Invocation
from partnerbus.targets.nats_subjects import AllowedSubjects

NO_SERVERS = "NATS subjects are no targets on this node, unless its operator names servers: nats-servers."
NOT_INSTALLED = "This node cannot speak NATS: partnerbus[nats] is not installed."


class NatsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to publish, and what; the rest are files.

    `credentials`: `USER:PASSWORD`, a token, the seed of a user's key, or what NATS calls a credentials file.
    `authorities`: who signs the servers' certificates, None: those that the system trusts. `certificate`:
    what to show of ours, with its key.
    """

    servers: Sequence[str] = ()
    subjects: str = "partnerbus.{account}.>"
    credentials: Path | None = None
    authorities: Path | None = None
    certificate: Path | None = None


class Publisher(Protocol):
    """Publishes, and says whether it arrived."""

    async def publish(self, subject: str, payload: bytes, message_id: str) -> Reply: ...

    async def close(self) -> None: ...


class NatsInvoker:
    """Publishes a target's input to its subject."""

    kind = "nats"

    def __init__(self, settings: NatsSettings, clock: Clock) -> None:
        self._allowed = AllowedSubjects(settings.subjects)
        self._missing = _missing(settings)
        self._publisher = None if self._missing else _make_publisher(settings, clock)

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """The operator must have named servers, and allowed the account the subject."""
        return self._missing or self._allowed.refusal(Arn.parse(target.arn), rule)

    async def invoke(self, invocation: Invocation) -> Reply:
        """Publish, and wait for the server's word."""
        target = invocation.target
        refusal, arn = self.refusal(target, invocation.rule), Arn.parse(target.arn)
        if refusal is not None or self._publisher is None or arn is None:
            return Reply(error=ErrorCode.NO_PERMISSIONS, message=refusal or NO_SERVERS)
        return await self._publisher.publish(arn.resource, invocation.payload, invocation.delivery_id)

    async def close(self) -> None:
        """Close the connection."""
        if self._publisher is not None:
            await self._publisher.close()


def _missing(settings: NatsSettings) -> str | None:
    if not settings.servers:
        return NO_SERVERS
    return None if find_spec("nats") is not None else NOT_INSTALLED


def _make_publisher(settings: NatsSettings, clock: Clock) -> Publisher:
    from partnerbus.targets.nats_client import NatsPublisher

    credentials = read_credentials(settings.credentials)
    tls = tls_context(settings.authorities, settings.certificate)
    return NatsPublisher(settings.servers, credentials, tls, clock)
