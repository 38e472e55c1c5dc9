"""A node's tables follow from the order alone: from no grouping, from no failed attempt, from no node."""

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from partnerbus.kernel.clock import ManualClock
from partnerbus.model.delivery import DeliveryState, NewDelivery, NewRecord, Record, Redrive, Settlement
from partnerbus.store.embedded.database import from_micros
from partnerbus.store.embedded.dead_letters import DROP, REDRIVE, Dropping, Redriving
from partnerbus.store.embedded.deliveries import CLAIM, EXTEND, SETTLE, Claiming, Extending, Held, Settling
from partnerbus.store.embedded.probe import PROBE, Probing
from partnerbus.store.embedded.records import APPEND, APPEND_ORDERED, Appending
from partnerbus.store.embedded.registry import SET, Setting
from partnerbus.store.embedded.reset import RESET, Resetting
from partnerbus.store.embedded.routing import ADVANCE, Advancing
from partnerbus.store.embedded.tables import Tables
from partnerbus.store.embedded.trimming import TRIM, Trimming
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.jetstream.commands import BY_VERB, Message, decode_message, encode
from partnerbus.store.jetstream.duties import BEGIN_COPY, END_COPY, Copied, Copying
from partnerbus.store.jetstream.likeness import Note, OtherTables
from partnerbus.store.jetstream.nodes import OPEN, RELEASE, TOKENS, Opening, Releasing
from partnerbus.store.jetstream.outgoing import Call
from partnerbus.store.jetstream.read_model import DamagedTables, Fate, Heard, ReadModel, open_tables
from partnerbus.store.protocol import LIVE, Kept
from partnerbus.testing.store_contract.world import CANCELLED, DEAD, DELIVERED, REFUSED, make_event, tried
from tests.effort import examples

Command = tuple[Verb[Any, Any], Any]

NOW = 1_000_000_000
NODES = ("a", "b")
EPOCHS = (1, 2)
"""Of the openings of `NODES`, which come first in every order."""


class Sent:
    """A message on its way to every node."""

    def __init__(self, sequence: int, epoch: int, commands: Sequence[Command]) -> None:
        self.sequence = sequence
        self.epoch = epoch
        self.commands = commands
        pairs = [(BY_VERB[verb].name, msgspec.Raw(BY_VERB[verb].encode(given))) for verb, given in commands]
        self.payload = encode(Message(epoch, sequence, 1, pairs))

    def heard(self, *, by_sender: bool = False) -> Heard:
        done: Any = None
        calls = [Call(verb, given, 0, done, ManualClock().now()) for verb, given in self.commands]
        return Heard(
            self.sequence, self.sequence, decode_message(self.payload), 1, calls if by_sender else None
        )


# -- any commands ------------------------------------------------------------------------------------------

_log = st.sampled_from(("bus", "replay", "archive"))
_subscription = st.sampled_from(("s1", "s2"))
_lane = st.sampled_from(("l1", "l2"))
_position = st.integers(1, 12)
_instant = st.integers(NOW, NOW + 50)
_count = st.integers(0, 4)
_key = st.sampled_from((None, None, b"k" * 16, b"l" * 16))
_token = st.builds(lambda epoch, n: (epoch << TOKENS) + n, st.sampled_from(EPOCHS), st.integers(1, 12))
_name = st.sampled_from((LIVE, LIVE, "second"))


def _new_record(log: str, number: int) -> NewRecord:
    return NewRecord(log=log, dedup_id=number.to_bytes(16, "big"), event=make_event(number))


def _appending(records: Sequence[NewRecord], now: int) -> Appending:
    return Appending(records, [new.event.encode() for new in records], now)


_record = st.builds(
    lambda log, position, at: Record(
        log=log, position=position, stored_at=from_micros(at), event=make_event(position)
    ),
    _log,
    _position,
    _instant,
)
_append = st.builds(
    _appending, st.lists(st.builds(_new_record, _log, st.integers(1, 20)), max_size=3), _instant
)
_owed = st.builds(
    lambda subscription, lane, position, claimed, key: NewDelivery(
        subscription=subscription, lane=lane, position=position, claimed=claimed, key=key
    ),
    _subscription,
    _lane,
    _position,
    st.booleans(),
    _key,
)
_advance = st.builds(
    Advancing,
    log=_log,
    name=_name,
    to=_position,
    owed=st.lists(_owed, max_size=3),
    unmatched=_count,
    kept=st.lists(st.builds(lambda log, record: Kept(log=log, record=record), _log, _record), max_size=2),
    now=_instant,
    leased_until=_instant,
    at_hand=st.lists(_record, max_size=2).map(lambda found: {record.position: record for record in found}),
    after=st.sampled_from((None, None, 0, 3)),
)
_held = st.builds(Held, _log, _position, _subscription, _token, _key)
_settlement = st.sampled_from(
    (
        DELIVERED,
        DEAD,
        CANCELLED,
        Settlement(
            state=DeliveryState.OWED,
            due_at=from_micros(NOW + 7),
            attempt=tried(ManualClock(), 1, REFUSED),
            message="later",
        ),
    )
)
_redrive = st.builds(
    Redriving,
    ids=st.lists(st.tuples(_subscription, _position), max_size=3),
    how=st.builds(
        lambda due_at, gap, died_by, to: Redrive(due_at=due_at, gap=gap, died_by=died_by, to=to),
        st.none() | _instant.map(from_micros),
        st.timedeltas(min_value=from_micros(0) - from_micros(0), max_value=from_micros(9) - from_micros(0)),
        st.none() | _instant.map(from_micros),
        st.none() | st.tuples(_subscription, _lane),
    ),
    now=_instant,
)
_value = st.sampled_from((b"one", b"two", None))
_registry_key = st.sampled_from(("account:1", "rule:1", "node/a"))

_commands: st.SearchStrategy[Command] = st.one_of(
    st.tuples(st.just(APPEND), _append),
    st.tuples(st.just(APPEND_ORDERED), _append),
    st.tuples(st.just(ADVANCE), _advance),
    st.tuples(st.just(CLAIM), st.builds(Claiming, _lane, st.integers(1, 4), _instant, _instant)),
    st.tuples(st.just(EXTEND), st.builds(Extending, st.lists(_held, max_size=2), _instant)),
    st.tuples(st.just(SETTLE), st.builds(Settling, _held, _settlement, _instant)),
    st.tuples(st.just(REDRIVE), _redrive),
    st.tuples(st.just(DROP), st.builds(Dropping, _instant, st.integers(1, 3))),
    st.tuples(st.just(TRIM), st.builds(Trimming, _log, _position, st.integers(1, 5))),
    st.tuples(st.just(SET), st.builds(Setting, _registry_key, _value, _count)),
    st.tuples(
        st.just(RESET),
        st.builds(Resetting, st.just(["account:"]), st.none() | st.tuples(_registry_key, _count)),
    ),
    st.tuples(st.just(PROBE), st.just(Probing())),
    st.tuples(
        st.just(RELEASE), st.builds(Releasing, st.sampled_from(NODES), st.just("node/a"), _count, _instant)
    ),
    st.tuples(st.just(BEGIN_COPY), st.builds(Copying, _count, _instant, _instant)),
    st.tuples(st.just(END_COPY), st.builds(Copied, _count, st.just(Note()))),
)
_messages = st.lists(
    st.tuples(st.sampled_from(EPOCHS), st.lists(_commands, min_size=1, max_size=6)), min_size=1, max_size=8
)
_groups = st.lists(st.integers(1, 4), min_size=8, max_size=8)
"""How many messages a node runs in one transaction, again and again."""


def append(log: str, number: int) -> Appending:
    """One record."""
    return _appending([_new_record(log, number)], NOW)


def owing(*positions: int, to: int, log: str = "bus") -> Advancing:
    """The first deliveries of a log, which is routed up to `to`."""
    owed = [NewDelivery(subscription="s1", lane="l1", position=position) for position in positions]
    return Advancing(log, LIVE, to, owed, 0, (), NOW, NOW, {})


# -- nodes -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with empty tables, to be copied."""
    path = tmp_path_factory.mktemp("tables") / "empty.db"
    open_tables(path, "stream").connection.close()
    return path


@contextmanager
def tables(empty: Path) -> Iterator[tuple[ReadModel, ReadModel]]:
    """Two nodes' tables."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        one, other = (
            open_tables(Path(shutil.copy(empty, Path(folder, name))), "stream") for name in ("one", "other")
        )
        for model in (one, other):
            stack.callback(model.connection.close)
            model.connection.execute("PRAGMA synchronous = OFF")
        yield one, other


def sent(messages: Sequence[tuple[int, Sequence[Command]]]) -> list[Sent]:
    """The messages in their order, behind the openings of the nodes that sent them."""
    openings = [(0, [(OPEN, Opening(node, number, NOW))]) for number, node in enumerate(NODES, 1)]
    return [Sent(number, *each) for number, each in enumerate([*openings, *messages], 1)]


def run(model: ReadModel, order: Sequence[Sent], groups: Sequence[int], node: int | None = None) -> None:
    """Run them all as the opening `node` does, or as one that sent none of them."""
    heard = [each.heard(by_sender=each.epoch == node) for each in order]
    for size in cycle(groups):
        if not heard:
            break
        model.run(heard[:size])
        del heard[:size]


def content(model: ReadModel) -> list[str]:
    """Everything in the tables."""
    return list(model.connection.iterdump())


TWO_KINDS_OF_APPEND = [
    (APPEND, append("bus", 1)),
    (APPEND_ORDERED, append("replay", 2)),
    (APPEND, append("bus", 3)),
]
RESET_BESIDE_A_ROUTER = [(APPEND, append("bus", 1)), (RESET, Resetting([])), (ADVANCE, owing(1, to=1))]


@settings(max_examples=examples(150))
@given(messages=_messages, groups=_groups, other_groups=_groups)
@example(messages=[(1, TWO_KINDS_OF_APPEND)], groups=[1], other_groups=[1])
@example(messages=[(1, RESET_BESIDE_A_ROUTER)], groups=[1], other_groups=[3])
def test_who_sent_a_message_and_what_is_run_together_make_no_difference(
    empty: Path,
    messages: Sequence[tuple[int, Sequence[Command]]],
    groups: Sequence[int],
    other_groups: Sequence[int],
) -> None:
    order = sent(messages)
    with tables(empty) as (one, other):
        run(one, order, groups, node=1)
        run(other, order, other_groups)
        assert content(one) == content(other)


def test_what_this_nodes_disk_has_changed_is_no_commands_error(empty: Path) -> None:
    with tables(empty) as (model, _):
        again = [(APPEND, append("bus", 1))]
        *known, repeat = sent([(1, again), (1, again)])
        run(model, known, [3])
        model.connection.execute("UPDATE records SET body = CAST('{' AS BLOB)")
        with pytest.raises(DamagedTables):  # the others will have run it
            run(model, [repeat], [1])


DISK_FULL = sqlite3.OperationalError("database or disk is full")


def test_what_was_run_before_the_disk_refused_is_not_taken_for_a_repeat(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, refusals = ReadModel._commit, [DISK_FULL] * 3

    def refuse_the_last(model: ReadModel, last: Heard) -> None:
        if last.sequence == order[-1].sequence and refusals:
            raise refusals.pop()
        commit(model, last)

    monkeypatch.setattr(ReadModel, "_commit", refuse_the_last)
    fails = [(ADVANCE, owing(99, to=99))]
    *openings, one, two, three = order = sent(
        [(1, [(APPEND, append("bus", 1))]), (1, fails), (1, [(APPEND, append("bus", 2))])]
    )
    with tables(empty) as (model, _):
        run(model, openings, [2])
        group = [each.heard() for each in (one, two, three)]
        for _ in range(3):
            with pytest.raises(sqlite3.OperationalError):
                model.run(group)
        model.run(group)
        assert [heard.fate for heard in group] == [Fate.RUN] * 3
        stored = [
            record.position for heard in group for run in heard.runs if not run.error for record in run.result
        ]
        assert stored == [1, 2]


def test_a_disk_that_refuses_to_undo_and_then_to_read_leaves_no_blank_tables(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, forget, refusals = ReadModel._commit, Tables.forget, [DISK_FULL] * 2

    def refuse(model: ReadModel, last: Heard) -> None:
        if refusals:
            raise refusals.pop()
        commit(model, last)

    def refuse_to_read(tables: Tables) -> None:
        if refusals:
            raise refusals.pop()
        forget(tables)

    used: list[list[Command]] = [
        [(APPEND, append("bus", 1))],
        [(ADVANCE, owing(to=1))],
        [(TRIM, Trimming("bus", 2, 1))],
    ]
    *known, last = order = sent([(1, commands) for commands in (*used, [(APPEND, append("replay", 2))])])
    with tables(empty) as (one, other):
        run(other, order, [1])
        run(one, known, [3])
        monkeypatch.setattr(ReadModel, "_commit", refuse)
        monkeypatch.setattr(Tables, "forget", refuse_to_read)
        with pytest.raises(sqlite3.OperationalError):
            run(one, [last], [1])
        run(one, [last], [1])
        assert content(one) == content(other)


def test_tables_that_differ_from_a_copy_are_not_used_any_more(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("partnerbus.store.jetstream.likeness.NOTED_EVERY", 2)
    order = sent([(1, [(APPEND, append("bus", number))]) for number in range(1, 5)])
    with tables(empty) as (one, other):
        run(other, order, [3])
        run(one, order[:4], [1])
        one.tables.position += 1  # a bug, or memory that has changed
        run(one, order[4:], [1])
        copied = Sent(len(order) + 1, 1, [(END_COPY, Copied(len(order), other._likeness.last))])
        one.is_current = other.is_current = True
        run(other, [copied], [1])
        with pytest.raises(OtherTables):
            run(one, [copied], [1])
        one.is_current = False  # one that starts anew reads of that copy, and does not end again
        run(one, [copied], [1])
