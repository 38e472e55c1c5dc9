import re
from itertools import product

import pytest

from partnerbus.api.contract import StructureShape, TextShape, compiled, load_contract
from tests.bounded import bounded
from tests.contract.shapes import every_shape

TEXTS = [shape for shape in every_shape().values() if isinstance(shape, TextShape)]
PATTERNS = sorted({shape.pattern for shape in TEXTS if shape.pattern is not None})


def test_the_service_has_57_operations():
    assert len(load_contract()) == 57


def test_the_documented_errors_are_known():
    errors = load_contract()["PutRule"].errors
    assert {"ResourceNotFoundException", "ConcurrentModificationException"} <= errors
    assert "ConcurrentModificationException" not in load_contract()["CreateConnection"].errors


def test_operations_without_a_body_and_with_an_empty_object():
    contract = load_contract()
    assert contract["DeleteRule"].output is None
    deleted = contract["DeleteArchive"].output
    assert isinstance(deleted, StructureShape)
    assert not deleted.members


VERY_LONG = 200_000


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_compiles_and_takes_no_time_on_a_hostile_value(pattern):
    matches = compiled(pattern).fullmatch
    with bounded(30):
        for start in ("", "arn:aws:events:us-east-1:111122223333:"):
            for filling in (" ", "\t ", "a", "a-", ".a", "/a", "[0]", "arn:aws:"):
                matches(start + filling * (VERY_LONG // len(filling)) + "\n")


@pytest.mark.parametrize(
    ("name", "fits", "fails"),
    [
        ("EventSourceName", "aws.partner/example.com/a/b", "aws.partner/example.com"),
        ("EventBusName", "aws.partner/example.com/a", "a\n"),
        ("RuleName", "a.b-c_1", "aé"),
        ("ConnectionDescription", "any é text", "two\rlines"),
        ("ConnectionDescription", "", "line\u2028separator"),
        ("HeaderValueSensitive", "a b\tc ", "\t"),
        ("HeaderValueSensitive", " ", "a\x01"),
        ("AuthHeaderParameters", "user name", "user:name"),
        ("RunCommandTargetKey", "tag:Größe 1", "tag;a"),
        ("PathParameter", "a", "  "),
        (
            "ResourceAssociationArn",
            _LATTICE := "arn:aws:vpc-lattice:us-east-1:123456789012:"
            "servicenetworkresourceassociation/snra-0123456789abcdefg",
            _LATTICE[:-1],
        ),
        ("HttpsEndpoint", "https://example.com/a?b=%20", "https://example.com/%2"),
    ],
)
def test_patterns_match_as_java_does(name, fits, fails):
    shape = every_shape()[name]
    assert isinstance(shape, TextShape)
    assert shape.pattern is not None
    assert compiled(shape.pattern).fullmatch(fits)
    assert not compiled(shape.pattern).fullmatch(fails)


@pytest.mark.parametrize(
    ("name", "start", "alphabet"),
    [
        ("HeaderValue", "", ("", " ", "\t", "a", ":", "\x01", "é")),
        ("AuthHeaderParameters", "", ("", " ", "\t", "a", ":", "\x01", "é")),
        ("EventBusArn", "arn:aws:events:us-east-1::", ("", "/", "a", "é", "\n")),
    ],
)
def test_a_rewritten_pattern_keeps_its_language(name, start, alphabet):
    shape = every_shape()[name]
    assert isinstance(shape, TextShape)
    assert shape.pattern is not None
    original, rewritten = re.compile(shape.pattern), compiled(shape.pattern)
    for letters in product(alphabet, repeat=4):
        text = start + "".join(letters)
        assert bool(original.fullmatch(text)) == bool(rewritten.fullmatch(text)), repr(text)
