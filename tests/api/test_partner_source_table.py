"""The transition table: its page in the docs, and that it is complete."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from partnerbus.model.partner_source import (
    TRANSITIONS,
    Standing,
    Trigger,
    partner_of,
    standing,
    transition_diagram,
    transition_table,
)
from partnerbus.model.resources import PartnerSource, SourceState

PAGE = Path(__file__).parents[2] / "docs" / "partner-sources.md"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _section(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_page_shows_the_table() -> None:
    assert _section("transition table") == transition_table()


def test_the_page_shows_the_diagram() -> None:
    assert _section("transition diagram") == f"```mermaid\n{transition_diagram()}```\n"


def test_every_trigger_is_answered_in_every_standing() -> None:
    assert {trigger: set(row) for trigger, row in TRANSITIONS.items()} == {
        trigger: set(Standing) for trigger in Trigger
    }


def test_a_bus_is_only_made_or_removed_by_its_customer() -> None:
    with_bus = {Standing.PENDING_WITH_BUS, Standing.ACTIVE, Standing.DELETED}
    for trigger, row in TRANSITIONS.items():
        for before, after in row.items():
            if isinstance(after, Standing) and (before in with_bus) != (after in with_bus):
                assert trigger in (Trigger.ASSOCIATE, Trigger.RELEASE)


def _source(state: SourceState, expires_at: datetime | None = None) -> PartnerSource:
    return PartnerSource(
        region="eu-central-1",
        name="aws.partner/acme.com/orders",
        partner="acme.com",
        account="111111111111",
        state=state,
        created_at=NOW,
        expires_at=expires_at,
    )


@pytest.mark.parametrize(
    ("state", "bus", "expected"),
    [
        (SourceState.PENDING, False, Standing.PENDING),
        (SourceState.PENDING, True, Standing.PENDING_WITH_BUS),
        (SourceState.ACTIVE, True, Standing.ACTIVE),
        (SourceState.DELETED, True, Standing.DELETED),
        (SourceState.ACTIVE, False, Standing.PENDING),
        (SourceState.DELETED, False, Standing.ABSENT),
    ],
)
def test_a_stored_state_stands_as(state: SourceState, bus: bool, expected: Standing) -> None:
    assert standing(_source(state), bus, NOW) is expected


def test_a_source_expires_at_the_instant_and_not_before() -> None:
    due = _source(SourceState.PENDING, NOW + timedelta(seconds=1))
    assert standing(due, False, NOW) is Standing.PENDING
    assert standing(due, False, NOW + timedelta(seconds=1)) is Standing.ABSENT
    assert standing(due, True, NOW) is Standing.PENDING_WITH_BUS
    assert standing(due, True, NOW + timedelta(seconds=1)) is Standing.DELETED


def test_what_is_not_stored_does_not_exist() -> None:
    assert standing(None, False, NOW) is Standing.ABSENT


@pytest.mark.parametrize(
    ("name", "partner"),
    [
        ("aws.partner/acme.com/orders", "acme.com"),
        ("aws.partner/acme.com.test/a/b/c", "acme.com.test"),
        ("aws.partner/acme.com/", "acme.com"),
    ],
)
def test_the_partner_is_the_second_segment(name: str, partner: str) -> None:
    assert partner_of(name) == partner
