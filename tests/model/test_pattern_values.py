"""What a pattern asks for at a path, as policies see it."""

import json

import pytest

from partnerbus.model.pattern_values import exact_values
from partnerbus.patterns import parse_pattern

OTHER = {"detail-type": ["t"]}


@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        ({"source": ["a"]}, ("a",)),
        ({"source": ["a", "b", "a"]}, ("a", "b")),
        (OTHER, ()),
        ({"detail": {"source": ["a"]}}, ()),
        ({"source": ["a", {"prefix": "b"}]}, None),
        ({"source": [{"anything-but": "a"}]}, None),
        ({"source": [{"exists": False}]}, None),
        ({"source": [None]}, None),
        ({"$or": [{"source": ["a"]}, {"source": ["b"]}]}, ("a", "b")),
        ({"$or": [{"source": ["a"]}, OTHER]}, None),
        ({"$or": [OTHER, {"detail": {"n": [1]}}]}, ()),
        ({"source": ["a"], "$or": [OTHER, {"detail": {"n": [1]}}]}, ("a",)),
    ],
)
def test_sources(pattern: object, values: tuple[str, ...] | None) -> None:
    assert exact_values(parse_pattern(json.dumps(pattern)), "source") == values


def test_a_path_into_the_detail() -> None:
    for text in (
        '{"detail": {"userIdentity": {"principalId": ["a"]}}}',
        '{"detail.userIdentity": {"principalId": ["a"]}}',
        '{"detail": {"userIdentity": {"principalId": ["b"]}}, "detail.userIdentity.principalId": ["a"]}',
    ):
        assert exact_values(parse_pattern(text), "detail.userIdentity.principalId") == ("a",)
