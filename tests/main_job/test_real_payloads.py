"""The main job on real payloads of real partners (GitHub, Stripe), up to 28 KB each."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from partnerbus.testing.receiver import Receiver
from partnerbus.testing.server_process import ServerProcess
from tests.main_job.story import ACME, OTHER, Story, create_accounts

PAYLOADS = Path(
    os.environ.get("REAL_PAYLOADS", Path(__file__).parents[3] / "shared" / "data" / "partner-events.jsonl")
)
GITHUB, STRIPE = "aws.partner/github.com/octo-org/webhooks", "aws.partner/stripe.com/ed_test_partnerbus"

pytestmark = pytest.mark.slow


def _payloads() -> list[dict[str, Any]]:
    if not PAYLOADS.exists():
        pytest.skip(f"no real payloads at {PAYLOADS}; set REAL_PAYLOADS")
    return [json.loads(line) for line in PAYLOADS.read_text().splitlines()]


def _at(value: Any, *path: str) -> Iterator[Any]:
    """Every value at a path, through arrays; the long way round, for comparison."""
    if isinstance(value, list):
        for element in value:
            yield from _at(element, *path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], *path[1:])


RULES: dict[str, tuple[str, Mapping[str, Any], Callable[[dict[str, Any]], bool]]] = {
    "everything-github": (GITHUB, {"source": [{"prefix": "aws.partner/github.com"}]}, lambda _: True),
    "everything-stripe": (STRIPE, {"source": [STRIPE]}, lambda _: True),
    "pulls-of-public-repositories": (
        GITHUB,
        {
            "detail-type": [{"prefix": "pull_request."}],
            "detail": {"repository": {"private": [False]}},
        },
        lambda entry: (
            entry["DetailType"].startswith("pull_request.")
            and False in _at(entry["Detail"], "repository", "private")
        ),
    ),
    "labelled-bug": (
        GITHUB,
        {"detail": {"issue": {"labels": {"name": ["bug"]}}}},
        lambda entry: "bug" in _at(entry["Detail"], "issue", "labels", "name"),
    ),
    "cards": (
        STRIPE,
        {"detail": {"data": {"object": {"payment_method_types": ["card"]}}}},
        lambda entry: "card" in _at(entry["Detail"], "data", "object", "payment_method_types"),
    ),
    "amounts": (
        STRIPE,
        {"detail": {"data": {"object": {"amount": [{"numeric": [">", 0, "<=", 2000]}]}}}},
        lambda entry: any(
            isinstance(amount, int) and 0 < amount <= 2000
            for amount in _at(entry["Detail"], "data", "object", "amount")
        ),
    ),
}


async def test_every_real_payload_arrives_where_it_should_as_it_was_sent(tmp_path: Path) -> None:
    payloads = _payloads()
    assert len(payloads) == 449
    data = tmp_path / "data"
    await create_accounts(data, {ACME: "github.com", OTHER: "stripe.com"})
    options = ["--allow-private-targets", "--no-throttling"]
    async with Receiver() as receiver, ServerProcess(data, *options) as server:
        story = Story(server, receiver)
        await story.offer(ACME, GITHUB)
        await story.offer(OTHER, STRIPE)
        for name, (bus, pattern, _) in RULES.items():
            await story.rule(bus, name, pattern, await story.webhook(name))
        sent: dict[str, dict[str, Any]] = {}
        for partner, source in ((ACME, GITHUB), (OTHER, STRIPE)):
            mine = [entry for entry in payloads if entry["Source"] == source]
            entries = [
                {name: entry[name] for name in ("Source", "DetailType", "Resources")}
                | {"Detail": json.dumps(entry["Detail"])}
                for entry in mine
            ]
            ids = await story.put(partner, *entries)
            sent |= dict(zip(ids, mine, strict=True))
        assert len(sent) == 449
        for name, (bus, _, wanted) in RULES.items():
            expected = {
                event_id for event_id, entry in sent.items() if entry["Source"] == bus and wanted(entry)
            }
            assert expected, f"{name} picks nothing: the rule proves nothing"
            events = await story.arrived(name, len(expected))
            assert {event["id"] for event in events} == expected, name
            assert len(events) == len(expected), f"{name}: something arrived twice"
            for event in events:
                entry = sent[event["id"]]
                assert event["detail"] == entry["Detail"]
                assert event["detail-type"] == entry["DetailType"]
                assert event["resources"] == entry["Resources"]
                assert event["source"] == bus
        story.close()
