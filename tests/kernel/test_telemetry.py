import io
import json
from datetime import timedelta
from typing import TextIO, cast

import pytest

from partnerbus.kernel.telemetry import LEVELS, Metrics, make_log


def _stream() -> tuple[TextIO, io.BytesIO]:
    raw = io.BytesIO()
    return cast(TextIO, io.TextIOWrapper(raw, write_through=True)), raw


def test_a_log_line_is_one_json_object() -> None:
    stream, raw = _stream()
    make_log("info", stream).info("delivery.attempt", target="arn:aws:…", wait=timedelta(seconds=2))
    line = json.loads(raw.getvalue())
    assert line["event"] == "delivery.attempt"
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")


def test_a_log_line_below_the_level_is_not_written() -> None:
    stream, raw = _stream()
    log = make_log("warning", stream)
    log.info("quiet")
    assert raw.getvalue() == b""
    log.warning("loud")
    assert b"loud" in raw.getvalue()


def test_an_exception_is_written_with_its_traceback() -> None:
    stream, raw = _stream()
    log = make_log("info", stream)
    try:
        raise KeyError("lost")
    except KeyError:
        log.exception("broken")
    assert "KeyError" in json.loads(raw.getvalue())["exception"]


def test_what_is_no_utf_8_is_written_all_the_same() -> None:
    stream, raw = _stream()
    make_log("info", stream).info("odd", said="half \ud800", inside={"\udfff": timedelta(seconds=2)})
    line = json.loads(raw.getvalue())
    assert (line["event"], line["said"]) == ("odd", "half \ud800")


def test_two_nodes_in_one_process_count_apart() -> None:
    one, two = Metrics(), Metrics()
    one.entries.labels("PutEvents", "stored").inc()
    found = two.registry.get_sample_value(
        "partnerbus_entries_total", {"operation": "PutEvents", "result": "stored"}
    )
    assert found is None


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_is_known(level: str) -> None:
    stream, raw = _stream()
    make_log(level, stream).error("still written")
    assert b"still written" in raw.getvalue()
