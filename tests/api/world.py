"""A node's operations without its network: real store, real catalog, the face, a clock that stands still."""

import json
import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from cryptography.fernet import Fernet

from partnerbus.api.contract import load_contract
from partnerbus.api.face import Face
from partnerbus.api.operation import Call, Services
from partnerbus.api.v1.operations import OPERATIONS
from partnerbus.api.validation import check_output
from partnerbus.engine.catalog import Catalog
from partnerbus.engine.connection_secrets import ConnectionSecrets
from partnerbus.engine.publish import Publisher
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoint, Failpoints
from partnerbus.kernel.secrets import SecretBox
from partnerbus.kernel.telemetry import Metrics, make_log
from partnerbus.model.delivery import Record
from partnerbus.model.quotas import Quotas
from partnerbus.model.resources import Connection, ConnectionState, EventBus, connection_key
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.protocol import START, Store
from partnerbus.targets.addresses import parse_networks
from partnerbus.targets.invoker import Invocation
from partnerbus.targets.kafka_topic import KafkaSettings
from partnerbus.targets.nats_subject import NatsSettings
from partnerbus.targets.registry import TargetSettings, make_targets

CONTRACT = load_contract()
COMMON_ERRORS = {
    "AccessDeniedException",
    "InternalException",
    "SerializationException",
    "ThrottlingException",
    "ValidationException",
}
"""What every operation may answer (documented for all, modelled for few)."""

RECORDED_ERRORS = {"DeleteEventBus": {"ResourceNotFoundException"}}
RECORDED_VALUES = ("Value '[]' at 'targets' failed", ":secret:events!connection/")
"""What the service answers although its model does not say so."""

REGION = "eu-central-1"
PARTNER = "acme.com"
PARTNER_ACCOUNT = "999999999999"
CUSTOMER = "111111111111"
OTHER = "222222222222"
SOURCE = "aws.partner/acme.com/orders"

PATTERN = '{"source": ["shop"]}'
QUEUE = f"arn:aws:sqs:{REGION}:{CUSTOMER}:dead-letters"


class Refused(Exception):
    """The face answered with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


async def refusal(caller: "Caller", operation: str, **members: object) -> tuple[str, str]:
    """Code and sentence of the refusal that this call meets."""
    with pytest.raises(Refused) as caught:
        await caller(operation, **members)
    return caught.value.code, caught.value.message


class Caller:
    """Somebody who calls operations: an account in a region, perhaps a partner's."""

    def __init__(
        self,
        face: Face,
        account: str,
        region: str = REGION,
        partner: str | None = None,
        any_partner: bool = False,
        signed_for: tuple[str, ...] = ("*",),
    ) -> None:
        self._face = face
        self._signed_for = signed_for
        self._account = account
        self._region = region
        self._partner = partner
        self._any_partner = any_partner

    async def __call__(self, operation: str, **members: object) -> dict:
        """The answer's members, which are held against the model; `Refused` if it is an error."""
        call = Call(
            request_id=str(uuid4()),
            operation=operation,
            account=self._account,
            region=self._region,
            partner=self._partner,
            any_partner=self._any_partner,
            signed_for=self._signed_for,
        )
        answer = await self._face.answer(call, json.dumps(members).encode())
        contract = CONTRACT[operation]
        body = json.loads(answer.body) if answer.body else {}
        if answer.error is not None:
            known = contract.errors | COMMON_ERRORS | RECORDED_ERRORS.get(operation, set())
            assert answer.error in known, f"{operation} never answers {answer.error}"
            raise Refused(answer.status, body["__type"], body["message"])
        wrong = [
            fault
            for fault in check_output(contract, body)
            if not any(recorded in fault for recorded in RECORDED_VALUES)
        ]
        assert not wrong, wrong
        return body

    async def every(self, operation: str, items: str, **members: object) -> list:
        """All items of a list, page by page."""
        found: list = []
        token: dict[str, object] = {}
        while True:
            answer = await self(operation, **members, **token)
            found += answer[items]
            if "NextToken" not in answer:
                return found
            token = {"NextToken": answer["NextToken"]}


class World:
    """The parts, and callers on them."""

    def __init__(self, services: Services, clock: ManualClock) -> None:
        self.services = services
        self.clock = clock
        self.face = Face(services, OPERATIONS)
        self.partner = self.caller(PARTNER_ACCOUNT, partner=PARTNER)
        self.customer = self.caller(CUSTOMER)
        self.other = self.caller(OTHER)

    @classmethod
    async def open(
        cls,
        folder: Path,
        *,
        failpoints: Mapping[Failpoint, str] | None = None,
        quotas: Quotas | None = None,
        allow_private: bool = True,
        networks: str = "",
    ) -> "World":
        clock = ManualClock()
        points = Failpoints(failpoints)
        store = await EmbeddedStore.open(folder, clock, points)
        catalog = Catalog(store, clock)
        await catalog.load()
        box = SecretBox(Fernet.generate_key())
        settings = TargetSettings(
            allow_private=allow_private,
            networks=parse_networks(networks),
            aws_endpoint_url="http://127.0.0.1:1",
            files=folder / "files",
            stdout=True,
            kafka=KafkaSettings(servers=("127.0.0.1:1",)),
            nats=NatsSettings(servers=("nats://127.0.0.1:1",)),
        )
        services = Services(
            catalog=catalog,
            store=store,
            publisher=Publisher(store),
            targets=make_targets(settings, catalog, box, clock, _no_forward, _resolve),
            clock=clock,
            secrets=box,
            connection_secrets=ConnectionSecrets(catalog, None, make_log("error")),
            failpoints=points,
            metrics=Metrics(),
            quotas=quotas or Quotas(),
        )
        return cls(services, clock)

    def with_quotas(self, **quotas: int) -> "World":
        """The same parts under other quotas."""
        changed = msgspec.structs.replace(self.services.quotas, **quotas)
        return World(msgspec.structs.replace(self.services, quotas=changed), self.clock)

    def with_publisher(self, publisher: Publisher) -> "World":
        """The same parts, but for who publishes."""
        return World(msgspec.structs.replace(self.services, publisher=publisher), self.clock)

    def with_store(self, store: Store) -> "World":
        """The same parts, but for the store that is seen as such."""
        return World(msgspec.structs.replace(self.services, store=store), self.clock)

    async def close(self) -> None:
        await self.services.targets.close()
        await self.services.store.close()

    def caller(
        self,
        account: str,
        region: str = REGION,
        partner: str | None = None,
        any_partner: bool = False,
        signed_for: tuple[str, ...] = ("*",),
    ) -> Caller:
        return Caller(self.face, account, region, partner, any_partner, signed_for)

    async def advance(self, **duration: float) -> None:
        await self.clock.advance(timedelta(**duration))

    async def settle_connection(self, name: str) -> None:
        """Let a connection of the customer be authorized, as the engine does after the first exchange."""
        found = self.services.catalog.get(Connection, connection_key(CUSTOMER, REGION, name))
        assert found is not None
        authorized = msgspec.structs.replace(
            found, state=ConnectionState.AUTHORIZED, authorized_at=self.clock.now()
        )
        await self.services.catalog.replace(found, authorized)

    async def stored(self, bus: EventBus | None) -> list[Record]:
        """What the log of a bus holds."""
        assert bus is not None
        return list(await self.services.store.read(bus.log, START))


ADDRESSES = {"private.example.com": ["10.0.0.7", "fd00::7"], "mixed.example.com": ["10.0.0.7", "1.1.1.1"]}


async def _resolve(host: str) -> list[str]:
    if host not in ADDRESSES:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")
    return ADDRESSES[host]


async def _no_forward(invocation: Invocation, bus: EventBus) -> None:
    raise AssertionError("nothing is delivered here")
