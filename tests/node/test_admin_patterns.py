"""The admin face explains patterns, and refuses what it cannot read in a sentence."""

import json

import msgspec
import pytest

from partnerbus.api.admin.patterns import LARGEST_BODY
from partnerbus.api.admin.viewer import OPERATOR
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.node.folder import DataFolder, opened
from partnerbus.patterns.explanation import Explanation, Outcome
from tests.node.faces import admin_face

PATTERN = {"detail": {"state": ["closed"]}}
EVENT = {"detail": {"state": "Closed"}}


@pytest.fixture
async def face(tmp_path):
    clock = ManualClock()
    async with opened(DataFolder(tmp_path / "data"), clock, Failpoints()) as found:
        yield admin_face(found, clock)


async def ask(face, body):
    answer = await face.answer(OPERATOR, "POST", "/patterns/explain", {}, body)
    return answer.status, answer.body


@pytest.mark.parametrize("pattern", [PATTERN, json.dumps(PATTERN)])
@pytest.mark.parametrize("event", [EVENT, json.dumps(EVENT)])
async def test_pattern_and_event_are_json_or_text(face, pattern, event):
    status, body = await ask(face, msgspec.json.encode({"pattern": pattern, "event": event}))
    assert status == 200
    explanation = msgspec.json.decode(body, type=Explanation)
    assert not explanation.matched
    (clause,) = explanation.conjunctions[0].clauses
    assert (clause.path, clause.outcome) == ("detail.state", Outcome.DOES_NOT_FIT)
    assert [hint.kind.value for hint in clause.hints] == ["letter-case"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "pattern"),
        (b"{", "the body cannot be used"),
        (b'{"pattern":{},"event":{},"x":1}', "x"),
        (b'{"pattern":{},"event":{}}', "Event pattern is not valid. Reason: Empty objects"),
        (b'{"pattern":"{","event":{}}', "Event pattern is not valid. Reason: "),
        (b'{"pattern":{"a":[1]},"event":[]}', "the event cannot be read"),
        (b'{"pattern":{"a":[1]},"event":"\\ud800"}', "the body cannot be used"),
        (b'{"pattern":{"a":["\xff"]},"event":{}}', "the body cannot be used"),
        (b'{"pattern":{"a":["' + b"x" * 4_096 + b'"]},"event":{}}', "longer than 4096"),
        (b'{"pattern":{"a":[1]},"event":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deep"),
        (b'{"pattern":' + b"[" * 100_000 + b"]" * 100_000 + b',"event":{}}', "deep"),
    ],
)
async def test_a_refusal_is_a_sentence(face, body, sentence):
    status, answer = await ask(face, body)
    assert status == 400, answer
    assert sentence in msgspec.json.decode(answer)["error"]


async def test_the_body_is_bounded(face):
    status, answer = await ask(face, b'{"pattern":{"a":[1]},"event":{}}' + b" " * LARGEST_BODY)
    assert status == 413
    assert str(LARGEST_BODY) in msgspec.json.decode(answer)["error"]
