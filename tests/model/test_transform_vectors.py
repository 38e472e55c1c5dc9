"""Every vector of input templates, on the transform and on the oracle. The verdict is in the file's name."""

import json
from pathlib import Path

import pytest

from partnerbus.model.reply import ErrorCode
from partnerbus.model.resources import InputTransformer
from partnerbus.model.transform import TransformError, compile_input, input_refusal
from partnerbus.testing.transform_oracle import oracle_accepts, oracle_fill
from tests.model.transform_world import RESERVED, RESERVED_TEXTS, RULE, a_record, a_target

VECTORS = Path(__file__).parent / "vectors"


def vectors(verdict):
    return [
        pytest.param(vector, id=f"{file.name}:{number}")
        for file in sorted(VECTORS.glob(f"*.{verdict}.json"))
        for number, vector in enumerate(json.loads(file.read_text("utf-8")))
    ]


def target_of(vector):
    return a_target(input_transformer=InputTransformer(template=vector["template"], paths=vector["paths"]))


def filled(vector):
    target, record = target_of(vector), a_record(vector["detail"])
    assert input_refusal(target) is None
    assert oracle_accepts(vector["template"], RESERVED | vector["paths"].keys())
    expected = oracle_fill(
        vector["template"], vector["paths"], record.event.encode().decode(), RESERVED_TEXTS
    )
    return compile_input(target).select(record, RULE), expected


@pytest.mark.parametrize("vector", vectors("delivered"))
def test_is_delivered(vector):
    assert filled(vector) == (vector["input"].encode(), vector["input"])


@pytest.mark.parametrize("vector", vectors("not-delivered"))
def test_is_not_delivered(vector):
    failed, expected = filled(vector)
    assert expected is None
    assert isinstance(failed, TransformError)
    assert failed.code is ErrorCode.INVALID_JSON


@pytest.mark.parametrize("vector", vectors("refused"))
def test_is_refused(vector):
    assert input_refusal(target_of(vector)) == vector["refusal"]
    assert not oracle_accepts(vector["template"], RESERVED | vector["paths"].keys())
