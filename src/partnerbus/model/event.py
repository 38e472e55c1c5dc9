"""The event: what a rule matches and an untouched target receives."""

from datetime import datetime

import msgspec

SECONDS_CHARACTERS = len("2000-01-01T00:00:00")

_encode = msgspec.json.Encoder().encode


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An accepted entry in its envelope.

    `time` is the publisher's (text, whole seconds, UTC); `detail` is the JSON object as it was sent, white
    space outside strings removed, nothing else touched: numbers, key order and escapes are the sender's.
    """

    id: str
    detail_type: str
    source: str
    account: str
    time: str
    region: str
    resources: tuple[str, ...] = ()
    detail: bytes = b"{}"
    replay_name: str | None = None

    def encode(self) -> bytes:
        """The envelope as compact JSON, keys in the order of the real service (recorded)."""
        replay = b"" if self.replay_name is None else b'"replay-name":' + _encode(self.replay_name) + b","
        return b"".join(
            (
                b'{"version":"0","id":',
                _encode(self.id),
                b',"detail-type":',
                _encode(self.detail_type),
                b',"source":',
                _encode(self.source),
                b',"account":',
                _encode(self.account),
                b',"time":',
                _encode(self.time),
                b',"region":',
                _encode(self.region),
                b",",
                replay,
                b'"resources":',
                _encode(self.resources),
                b',"detail":',
                self.detail,
                b"}",
            )
        )


class _Envelope(msgspec.Struct, rename="kebab", kw_only=True, gc=False):
    id: str
    detail_type: str
    source: str
    account: str
    time: str
    region: str
    resources: tuple[str, ...] = ()
    detail: msgspec.Raw
    replay_name: str | None = None


_decode = msgspec.json.Decoder(_Envelope).decode


def decode_event(envelope: bytes) -> Event:
    """The event whose `encode` gave `envelope`; a `msgspec.DecodeError` if it is not one."""
    found = _decode(envelope)
    return Event(
        id=found.id,
        detail_type=found.detail_type,
        source=found.source,
        account=found.account,
        time=found.time,
        region=found.region,
        resources=found.resources,
        detail=bytes(found.detail),
        replay_name=found.replay_name,
    )


def time_of(event: Event) -> datetime:
    """The instant that the publisher gave the event."""
    return datetime.fromisoformat(event.time)


def minute_of(event: Event) -> int:
    """The minute of the event's time, counted from 1970."""
    return minute_at(time_of(event))


def minute_at(instant: datetime) -> int:
    """The minute that `instant` is in, counted from 1970."""
    return int(instant.timestamp() // 60)


def event_time(instant: datetime) -> str:
    """`instant` (aware, UTC) as the envelope writes it, cut to whole seconds (recorded)."""
    return f"{instant.isoformat()[:SECONDS_CHARACTERS]}Z"
