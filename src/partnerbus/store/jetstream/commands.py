"""What a message of the stream holds: who sent it, and commands as bytes.

A command on the stream is a kind's name and the argument of its verb, which carries its instant, so every
node that runs it at the same place in the order does the same. What a node has at hand besides (decoded
events) stays at home: it saves work, never changes the outcome.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from partnerbus.model.delivery import NewRecord
from partnerbus.model.event import decode_event
from partnerbus.store.embedded.dead_letters import DROP, REDRIVE, Dropping, Redriving
from partnerbus.store.embedded.deliveries import CLAIM, EXTEND, SETTLE, Claiming, Extending, Settling
from partnerbus.store.embedded.probe import PROBE, Probing
from partnerbus.store.embedded.records import APPEND, APPEND_ORDERED, Appending
from partnerbus.store.embedded.registry import SET, Setting
from partnerbus.store.embedded.reset import RESET, Resetting
from partnerbus.store.embedded.routing import ADVANCE, Advancing
from partnerbus.store.embedded.trimming import TRIM, Trimming
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.jetstream.duties import BEGIN_COPY, END_COPY, Copied, Copying
from partnerbus.store.jetstream.nodes import OPEN, RELEASE, Opening, Releasing

A = TypeVar("A")

_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode


class Kind(Generic[A]):
    """A kind of command: its name on the stream, its verb, and its argument as bytes and back."""

    def __init__(
        self,
        name: str,
        verb: Verb[A, Any],
        argument: type[A],
        encode_argument: Callable[[A], bytes] = encode,
        decode_argument: Callable[[msgspec.Raw], A] | None = None,
    ) -> None:
        self.name = name
        self.verb = verb
        self.encode = encode_argument
        self.decode = decode_argument or msgspec.msgpack.Decoder(argument).decode


# -- records are their envelopes ---------------------------------------------------------------------------


class _Appended(msgspec.Struct, frozen=True, array_like=True, gc=False):
    now: int
    records: Sequence[tuple[str, bytes, str | None, bytes]]


_decode_appended = msgspec.msgpack.Decoder(_Appended).decode


def _encode_append(command: Appending) -> bytes:
    pairs = zip(command.records, command.bodies, strict=True)
    return encode(_Appended(command.now, [(new.log, new.dedup_id, new.via, body) for new, body in pairs]))


def _decode_append(raw: msgspec.Raw) -> Appending:
    found = _decode_appended(raw)
    records = [
        NewRecord(log=log, dedup_id=dedup_id, event=decode_event(body), via=via)
        for log, dedup_id, via, body in found.records
    ]
    return Appending(records, [body for *_, body in found.records], found.now)


def _encode_advance(command: Advancing) -> bytes:
    return encode(msgspec.structs.replace(command, at_hand=None))  # other nodes need not read its records


KINDS: Sequence[Kind[Any]] = (
    Kind("append", APPEND, Appending, _encode_append, _decode_append),
    Kind("advance", ADVANCE, Advancing, _encode_advance),
    Kind("claim", CLAIM, Claiming),
    Kind("extend", EXTEND, Extending),
    Kind("settle", SETTLE, Settling),
    Kind("redrive", REDRIVE, Redriving),
    Kind("drop", DROP, Dropping),
    Kind("trim", TRIM, Trimming),
    Kind("set", SET, Setting),
    Kind("reset", RESET, Resetting),
    Kind("probe", PROBE, Probing),
    Kind("open", OPEN, Opening),
    Kind("release", RELEASE, Releasing),
    Kind("begin copy", BEGIN_COPY, Copying),
    Kind("end copy", END_COPY, Copied),
)
BY_NAME = {kind.name: kind for kind in KINDS}
BY_VERB: dict[Verb[Any, Any], Kind[Any]] = {kind.verb: kind for kind in KINDS}
BY_VERB[APPEND_ORDERED] = BY_VERB[APPEND]  # what is acknowledged is on the quorum, asked for or not


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one node publishes at once: commands of concurrent calls, to be run in any order together.

    `epoch` says which opening of which node it is from (0: of one that is just opening), `number` which of
    its messages. It gave up or had run every one of a number below `floor`: those are run no more.
    """

    epoch: int
    number: int
    floor: int
    commands: Sequence[tuple[str, msgspec.Raw]]


decode_message = msgspec.msgpack.Decoder(Message).decode
