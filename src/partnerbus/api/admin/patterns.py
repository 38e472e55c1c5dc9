"""Why an event does or does not match a pattern: what TestEventPattern says, with the reasons."""

import asyncio

import msgspec

from partnerbus.api.admin.request import AdminRefused, Request
from partnerbus.api.admin.sight import Sight, ViewRoute
from partnerbus.patterns import EventFields, Pattern, PatternError, event_fields, parse_pattern
from partnerbus.patterns.event_fields import TOO_DEEP
from partnerbus.patterns.explain import explain
from partnerbus.patterns.explanation import Explanation

LONGEST_PATTERN = 4_096
"""Characters of a pattern (documented, for a rule's)."""

LARGEST_BODY = 1024 * 1024
"""Bytes of a pattern and an event together; more than any event may have."""


class Explain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to explain. Each is JSON, or a string that holds JSON."""

    pattern: msgspec.Raw
    event: msgspec.Raw


async def explain_pattern(_sight: Sight, request: Request) -> Explanation:
    if len(request.body) > LARGEST_BODY:
        raise AdminRefused(f"the body is larger than {LARGEST_BODY} bytes", 413)
    try:
        wanted = request.body_as(Explain)
        pattern, fields = read_pattern(_json_in(wanted.pattern)), read_event(_json_in(wanted.event))
    except RecursionError:
        raise AdminRefused(TOO_DEEP) from None
    return await asyncio.to_thread(explain, pattern, fields)  # the node goes on meanwhile


def read_pattern(text: str) -> Pattern:
    """The pattern in `text`; `AdminRefused` if it is none, or longer than a rule's may be."""
    if len(text) > LONGEST_PATTERN:
        raise AdminRefused(f"the pattern is longer than {LONGEST_PATTERN} characters")
    try:
        return parse_pattern(text)
    except PatternError as error:
        raise AdminRefused(error.message) from None


def read_event(text: str) -> EventFields:
    """The event in `text`; `AdminRefused` if it is not a JSON object."""
    try:
        return event_fields(text.encode())
    except ValueError as error:
        raise AdminRefused(f"the event cannot be read: {error}") from None


def _json_in(raw: msgspec.Raw) -> str:
    """The JSON that `raw` is, or that is in the string it is."""
    text = bytes(raw)
    try:
        return msgspec.json.decode(text, type=str) if text.startswith(b'"') else text.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise AdminRefused(f"the body cannot be used: {error}") from None


ROUTES = (ViewRoute("POST", "/patterns/explain", explain_pattern, body=Explain, asks=True),)
