"""Logs and metrics: one wide line per event and per attempt, and counters with few labels."""

import asyncio
import json
import logging
import sys
import weakref
from collections import deque
from datetime import UTC, datetime
from typing import BinaryIO, TextIO

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from structlog.typing import EventDict, FilteringBoundLogger

Log = FilteringBoundLogger

LEVELS = ("debug", "info", "warning", "error")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def make_log(level: str = "info", stream: TextIO | None = None) -> Log:
    """A logger that writes one JSON object per line, to standard error unless told otherwise."""
    log = structlog.wrap_logger(
        _Lines((stream or sys.stderr).buffer),
        processors=[
            structlog.processors.add_log_level,
            _add_timestamp,
            structlog.processors.format_exc_info,
            _line,
        ],
        wrapper_class=_filtering(logging.getLevelNamesMapping()[level.upper()]),
    )
    bound: Log = log.bind()  # or every line would be bound anew, which costs a third of it
    return bound


def _filtering(level: int) -> type[Log]:
    """A class of loggers that leave out what is below a level."""
    found = structlog.make_filtering_bound_logger(level)
    return type("Log", (_Straight, found), {}) if level <= logging.INFO else found


class _Straight:
    """A logger whose information goes straight into its line.

    There is some of every event and every attempt; led through structlog's processors it takes twice as long.
    """

    _logger: "_Lines"

    def info(self, event: str, **fields: object) -> None:
        """Tell of something that went as it should, so that there is no exception to be told of."""
        self._logger.info(
            _encoded({**fields, "event": event, "level": "info", "timestamp": datetime.now(UTC)})
        )


class _Lines:
    """Writes lines; those of one turn of an event loop together, since a system call costs more than a line.

    A warning or an error is written at once, with what waits before it, and so is what is told where no loop
    runs. What still waits when the process ends is written then.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._waiting: deque[bytes] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop that will write what waits."""
        self._at_exit = weakref.finalize(self, _write, self._waiting, stream)

    def info(self, line: bytes) -> None:
        """Write a line at the end of this turn of the event loop."""
        self._waiting.append(line)  # before the look at the loop, which forgets itself before it writes
        if self._loop is None or self._loop.is_closed():
            self._loop = _running_loop()
            if self._loop is None:
                _write(self._waiting, self._stream)
            else:
                self._loop.call_soon(self._end_of_turn)

    def error(self, line: bytes) -> None:
        """Write a line now, after those that wait."""
        self._waiting.append(line)
        _write(self._waiting, self._stream)

    debug = info
    warning = error

    def _end_of_turn(self) -> None:
        self._loop = None
        _write(self._waiting, self._stream)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _write(waiting: deque[bytes], stream: BinaryIO) -> None:
    """Write the lines that wait. Threads may do so at once: each line is taken by one of them."""
    lines = []
    while waiting:
        lines.append(waiting.popleft())
    if lines:
        stream.write(b"\n".join([*lines, b""]))
        stream.flush()


_encode = msgspec.json.Encoder(enc_hook=str).encode


def _add_timestamp(_: object, __: str, fields: EventDict) -> EventDict:
    """When it was told; as an instant, which is written faster than it is made into text."""
    fields["timestamp"] = datetime.now(UTC)
    return fields


def _line(_: object, __: str, fields: EventDict) -> bytes:
    return _encoded(fields)


def _encoded(fields: EventDict) -> bytes:
    """The fields as JSON, whatever is in them: text that is no UTF-8 is escaped."""
    try:
        return _encode(fields)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(fields, enc_hook=str)).encode()


class Metrics:
    """Every metric of a node, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "partnerbus_requests",
            "API requests by operation and answer.",
            ["operation", "status", "error"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "partnerbus_request_seconds",
            "From the last byte of a request to the first of its answer.",
            ["operation"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.entries = Counter(
            "partnerbus_entries",
            "Entries of PutEvents and PutPartnerEvents by what became of them.",
            ["operation", "result"],
            registry=self.registry,
        )
        self.routed = Counter(
            "partnerbus_events_routed",
            "Events that the router has read, by whether any rule matched.",
            ["matched"],
            registry=self.registry,
        )
        self.attempts = Counter(
            "partnerbus_attempts",
            "Delivery attempts by kind of target and outcome.",
            ["kind", "outcome"],
            registry=self.registry,
        )
        self.attempt_seconds = Histogram(
            "partnerbus_attempt_seconds",
            "How long a target took to answer.",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "partnerbus_attempts_in_flight", "Attempts waiting for their target.", registry=self.registry
        )
        self.held_lanes = Gauge(
            "partnerbus_lanes_held", "Targets that circuit breakers hold.", registry=self.registry
        )
        self.failing_targets = Gauge(
            "partnerbus_targets_failing", "Targets that keep failing.", registry=self.registry
        )
        self.connection_secrets_behind = Gauge(
            "partnerbus_connection_secrets_behind",
            "Connections whose copy in Secrets Manager is not up to date.",
            registry=self.registry,
        )
        self.bus_log_records_dropped = Counter(
            "partnerbus_bus_log_records_dropped",
            "Records of the logs of buses that came too fast for the disk, or that it did not take.",
            registry=self.registry,
        )
        self.trace_records_dropped = Counter(
            "partnerbus_trace_records_dropped",
            "Records for traces that came too fast for the disk, or that it did not take.",
            registry=self.registry,
        )
        self.target_alerts = Counter(
            "partnerbus_target_alerts",
            "Targets found failing, recovered or disabled.",
            ["alert"],
            registry=self.registry,
        )
