import asyncio
import inspect
import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TextIO, cast

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


def test_information_is_told_in_the_same_members_as_trouble() -> None:
    stream, raw = _stream()
    log = make_log("info", stream)
    log.info("attempt", level_of_water=3)
    log.warning("attempt", level_of_water=3)
    good, bad = map(json.loads, raw.getvalue().splitlines())
    assert list(good) == list(bad)
    assert (good["level"], bad["level"]) == ("info", "warning")
    assert good["timestamp"].endswith("Z")
    assert good["timestamp"] <= bad["timestamp"]


class Counted(io.BytesIO):
    """Counts writes."""

    writes = 0

    def write(self, data: Any, /) -> int:
        self.writes += 1
        return super().write(data)


def _counted() -> tuple[TextIO, Counted]:
    raw = Counted()
    return cast(TextIO, Wrapped(raw)), raw


class Wrapped:
    def __init__(self, raw: io.BytesIO) -> None:
        self.buffer = raw


def _events(raw: io.BytesIO) -> list[str]:
    return [json.loads(line)["event"] for line in raw.getvalue().splitlines()]


async def test_the_lines_of_one_turn_are_written_together() -> None:
    stream, raw = _counted()
    log = make_log("info", stream)
    for word in ("one", "two", "three"):
        log.info(word)
    assert raw.getvalue() == b""
    await asyncio.sleep(0)
    assert (_events(raw), raw.writes) == (["one", "two", "three"], 1)
    log.info("four")
    await asyncio.sleep(0)
    assert (_events(raw)[3:], raw.writes) == (["four"], 2)


@pytest.mark.parametrize("level", ["warning", "error", "exception"])
async def test_trouble_is_written_at_once_after_what_waits(level: str) -> None:
    stream, raw = _counted()
    log = make_log("info", stream)
    log.info("before")
    getattr(log, level)("trouble")
    log.info("after")
    assert _events(raw) == ["before", "trouble"]
    await asyncio.sleep(0)
    assert _events(raw) == ["before", "trouble", "after"]


async def test_a_thread_without_a_loop_writes_at_once() -> None:
    stream, raw = _counted()
    log = make_log("info", stream)
    log.info("of the loop")
    await asyncio.to_thread(log.info, "of the thread")
    assert sorted(_events(raw)) == ["of the loop", "of the thread"]


def test_what_a_loop_left_waiting_is_written_by_the_next() -> None:
    stream, raw = _counted()
    log = make_log("info", stream)
    _leave_waiting(lambda: log.info("left"))
    assert raw.getvalue() == b""

    async def again() -> None:
        log.info("next")
        await asyncio.sleep(0)

    asyncio.run(again())
    assert _events(raw) == ["left", "next"]


def test_what_waits_at_the_end_of_the_process_is_written() -> None:
    program = f"""
from partnerbus.kernel.telemetry import make_log
import asyncio
from collections.abc import Callable
{inspect.getsource(_leave_waiting)}
log = make_log("info")
_leave_waiting(lambda: log.info("the last word"))
"""
    command = [sys.executable, "-c", program]
    assert b"the last word" in subprocess.run(command, check=True, capture_output=True).stderr


def _leave_waiting(say: Callable[[], None]) -> None:
    """Say it in the last turn of a loop, which nothing follows."""
    loop = asyncio.new_event_loop()
    loop.call_soon(loop.stop)
    loop.call_soon(say)
    loop.run_forever()
    loop.close()


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
