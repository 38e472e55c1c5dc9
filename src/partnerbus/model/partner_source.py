"""The life of a partner source: one table of standings and triggers.

A standing is what is true of a source at one instant: its state, and whether its bus exists. `TRANSITIONS`
says for each standing and each trigger what follows: another standing, or the documented refusal. Handlers
and the expiry sweep go through it, and `docs/partner-sources.md` is made from it.

Two rules keep the table small. A source whose time has passed *stands* as if the sweep had already been
there, so nothing depends on when the sweep runs. And what is stored as ACTIVE or DELETED without a bus, which
only a crash or a race leaves behind, stands as PENDING or absent; the sweep writes that down.
"""

from datetime import datetime
from enum import StrEnum

from partnerbus.model.resources import PartnerSource, SourceState


class Standing(StrEnum):
    """What is true of a source: its state, and whether its bus exists."""

    ABSENT = "non-existent"
    PENDING = "PENDING, no bus"
    PENDING_WITH_BUS = "PENDING, bus"
    ACTIVE = "ACTIVE, bus"
    DELETED = "DELETED, bus"


class Trigger(StrEnum):
    """What may move a source from one standing to another."""

    OFFER = "CreatePartnerEventSource"
    WITHDRAW = "DeletePartnerEventSource"
    ASSOCIATE = "CreateEventBus"
    RELEASE = "DeleteEventBus"
    ACTIVATE = "ActivateEventSource"
    DEACTIVATE = "DeactivateEventSource"
    EXPIRE = "expiry"


class Refusal(StrEnum):
    """Why a trigger is refused, as the wire API names it."""

    ALREADY_EXISTS = "ResourceAlreadyExistsException"
    NOT_FOUND = "ResourceNotFoundException"
    INVALID_STATE = "InvalidStateException"


_A, _P, _PB, _ON, _D = Standing
_EXISTS, _GONE, _WRONG = Refusal

TRANSITIONS: dict[Trigger, dict[Standing, Standing | Refusal]] = {
    # Offered again after it was deleted, a source waits for the customer: a partner must not resurrect rules.
    Trigger.OFFER: {_A: _P, _P: _EXISTS, _PB: _EXISTS, _ON: _EXISTS, _D: _PB},
    Trigger.WITHDRAW: {_A: _A, _P: _A, _PB: _D, _ON: _D, _D: _D},
    Trigger.ASSOCIATE: {_A: _GONE, _P: _ON, _PB: _EXISTS, _ON: _EXISTS, _D: _WRONG},
    Trigger.RELEASE: {_A: _GONE, _P: _GONE, _PB: _P, _ON: _P, _D: _A},
    # Activation never makes a bus (recorded: without one the source "does not exist").
    Trigger.ACTIVATE: {_A: _GONE, _P: _GONE, _PB: _ON, _ON: _WRONG, _D: _WRONG},
    Trigger.DEACTIVATE: {_A: _GONE, _P: _GONE, _PB: _WRONG, _ON: _PB, _D: _WRONG},
    Trigger.EXPIRE: {_A: _A, _P: _A, _PB: _D, _ON: _ON, _D: _D},
}
"""Documented; assumed are PENDING with a bus that is withdrawn, released or expires, the last trace of a
DELETED source going with its bus, and which wrong-state calls are `InvalidStateException`."""

_WITH_BUS = {SourceState.PENDING: _PB, SourceState.ACTIVE: _ON, SourceState.DELETED: _D}
_WITHOUT_BUS = {SourceState.PENDING: _P, SourceState.ACTIVE: _P, SourceState.DELETED: _A}
_STATES = {
    _P: SourceState.PENDING,
    _PB: SourceState.PENDING,
    _ON: SourceState.ACTIVE,
    _D: SourceState.DELETED,
}


def standing(source: PartnerSource | None, bus_exists: bool, now: datetime) -> Standing:
    """How a source stands at `now`, whether or not the sweep has already written it down."""
    stored = _stored_standing(source, bus_exists)
    if source is None or source.expires_at is None or now < source.expires_at:
        return stored
    expired = TRANSITIONS[Trigger.EXPIRE][stored]
    assert isinstance(expired, Standing)
    return expired


def _stored_standing(source: PartnerSource | None, bus_exists: bool) -> Standing:
    if source is None:
        return Standing.ABSENT
    return _WITH_BUS[source.state] if bus_exists else _WITHOUT_BUS[source.state]


def state_for_customer(found: Standing) -> SourceState | None:
    """The state that the customer reads; None: there is no such source."""
    return _STATES.get(found)


def state_for_partner(found: Standing) -> SourceState | None:
    """The state that the partner reads: a deleted source is gone for it."""
    return None if found is Standing.DELETED else _STATES.get(found)


def partner_of(name: str) -> str:
    """The domain in `aws.partner/<domain>/…`, of a source name or of a prefix that reaches its slash."""
    return name.split("/", 2)[1]


def transition_table() -> str:
    """`TRANSITIONS` as a Markdown table: a row per trigger, a column per standing."""
    lines = [
        "| trigger | " + " | ".join(Standing) + " |",
        "| --- |" + " --- |" * len(Standing),
    ]
    lines += [
        f"| {trigger} | " + " | ".join(_cell(row[before], before) for before in Standing) + " |"
        for trigger, row in TRANSITIONS.items()
    ]
    return "\n".join(lines) + "\n"


def _cell(result: Standing | Refusal, before: Standing) -> str:
    if isinstance(result, Refusal):
        return f"`{result}`"
    return "no change" if result is before else f"→ **{result}**"


def transition_diagram() -> str:
    """The changes in `TRANSITIONS` as a Mermaid state diagram; refusals are left to the table."""
    lines = ["stateDiagram-v2", *(f'    state "{one}" as {one.name}' for one in Standing)]
    lines += [
        f"    {before.name} --> {after.name}: {trigger}"
        for trigger, row in TRANSITIONS.items()
        for before, after in row.items()
        if isinstance(after, Standing) and after is not before
    ]
    return "\n".join(lines) + "\n"
