"""Every vector, on the matcher and on the oracle. The verdict is in the file's name."""

import json
from pathlib import Path

import pytest

from partnerbus.patterns import PatternError, PatternIndex, event_fields, parse_pattern
from partnerbus.testing.pattern_oracle import oracle_matches

VECTORS = Path(__file__).parent / "vectors"


def vectors(verdict):
    return [
        pytest.param(vector, id=f"{file.name}:{number}")
        for file in sorted(VECTORS.glob(f"*.{verdict}.json"))
        for number, vector in enumerate(json.loads(file.read_text("utf-8")))
    ]


def matches(vector):
    event = vector["event"].encode()
    index = PatternIndex[str]()
    index.add("rule", parse_pattern(vector["pattern"]))
    return list(index.match(event_fields(event))) == ["rule"], oracle_matches(vector["pattern"], event)


@pytest.mark.parametrize("vector", vectors("match"))
def test_matches(vector):
    assert matches(vector) == (True, True)


@pytest.mark.parametrize("vector", vectors("no-match"))
def test_does_not_match(vector):
    assert matches(vector) == (False, False)


@pytest.mark.parametrize("vector", vectors("refused"))
def test_is_refused(vector):
    with pytest.raises(PatternError) as refusal:
        parse_pattern(vector["pattern"])
    assert refusal.value.message == "Event pattern is not valid. Reason: " + vector["reason"]
