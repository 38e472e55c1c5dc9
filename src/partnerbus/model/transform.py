"""What a target receives of an event: all of it, a constant, a part, or a template filled from it.

A selector is compiled once per target. An InputTransformer's template is cut at its placeholders into
literal pieces, each placeholder marked as inside or outside quotes, because that decides how a value is
written (documented, recorded):

    outside quotes   its JSON text, as the sender wrote it; nothing found: `""`
    inside quotes    a string without its quotes and *not escaped*; an object or array raw in a JSON
                     template, without its quotes in a text template; nothing found: nothing

Because nothing is escaped, a value that holds a quote or a newline can break a JSON template. What comes
out is therefore checked, and what is not JSON is not delivered.
"""

import re
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from partnerbus.model.delivery import Record
from partnerbus.model.event import Event
from partnerbus.model.paths import EventDocument, Path, PathError, parse_path, string_text
from partnerbus.model.reply import ErrorCode
from partnerbus.model.resources import InputTransformer, Rule, Target
from partnerbus.model.template import Placeholder, Reserved, is_json, parse_template, template_refusal

MAX_INPUT_BYTES = 4 * 1024 * 1024
"""The longest input that a template may make (assumed): a large value can stand in it thousands of times."""

ONE_INPUT_ONLY = "Only one of Input, InputPath, or InputTransformer must be provided for target {}."
NOT_JSON = "Input for target {} is not a valid JSON text."
"""The first is recorded, the second was seen by users."""

_QUOTE = re.compile(rb'(\\.)|"', re.DOTALL)

_encode = msgspec.json.Encoder().encode


class TransformError(msgspec.Struct, frozen=True, kw_only=True):
    """The event makes no input for this target; trying again cannot help."""

    code: ErrorCode
    message: str


BROKEN_JSON = TransformError(
    code=ErrorCode.INVALID_JSON, message="The input template and the event's values do not make valid JSON."
)
NOTHING_AT_PATH = TransformError(
    code=ErrorCode.INVALID_JSON, message="The target's InputPath leads to nothing in the event."
)
TOO_LONG = TransformError(
    code=ErrorCode.INVALID_PARAMETER, message="The target's input would be too long after transformation."
)
UNREADABLE = TransformError(
    code=ErrorCode.INVALID_PARAMETER,
    message="A path of the target's input leads to too many values or too deep.",
)


class InputSelector(Protocol):
    """Makes a target's input of a record."""

    def select(self, record: Record, rule: Rule) -> bytes | TransformError:
        """The input as UTF-8 text."""


def compile_input(target: Target) -> InputSelector:
    """The selector of a target, to be kept as long as the target stays as it is."""
    if target.input_transformer is not None:
        return _Template(target.input_transformer)
    if target.input is not None:
        return _Constant(target.input.encode())
    if target.input_path is not None:
        return _AtPath(parse_path(target.input_path))
    return _WholeEvent()


def input_refusal(target: Target) -> str | None:
    """Why a target's input cannot work, in the service's words; None if it can.

    Paths are not judged: one that leads nowhere shows when an event comes (documented).
    """
    given = (target.input, target.input_path, target.input_transformer)
    if sum(member is not None for member in given) > 1:
        return ONE_INPUT_ONLY.format(target.id)
    if target.input is not None and not is_json(target.input.encode()):
        return NOT_JSON.format(target.id)
    if target.input_transformer is not None:
        return template_refusal(target.id, target.input_transformer)
    return None


# -- the simple kinds --------------------------------------------------------------------------------------


class _WholeEvent:
    def select(self, record: Record, _rule: Rule) -> bytes | TransformError:
        return record.event.encode()


class _Constant:
    def __init__(self, text: bytes) -> None:
        self._text = text

    def select(self, _record: Record, _rule: Rule) -> bytes | TransformError:
        return self._text


class _AtPath:
    """What is at a path, as JSON; a string arrives with its quotes (assumed).

    Nothing there is an error (assumed): the dead letter shows the mistake, an empty input would hide it.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def select(self, record: Record, _rule: Rule) -> bytes | TransformError:
        if self._path is None:
            return NOTHING_AT_PATH
        try:
            found = EventDocument(record.event).find(self._path)
        except PathError:
            return UNREADABLE
        return NOTHING_AT_PATH if found is None else found


# -- templates ---------------------------------------------------------------------------------------------


class _Template:
    """A compiled InputTransformer."""

    def __init__(self, transformer: InputTransformer) -> None:
        self._paths = {name: parse_path(text) for name, text in transformer.paths.items()}
        self._template = parse_template(transformer.template)

    def select(self, record: Record, rule: Rule) -> bytes | TransformError:
        values = _Values(self._paths, record, rule, self._template.is_json)
        try:
            filled = self._fill(values)
        except PathError:
            return UNREADABLE
        if isinstance(filled, bytes) and self._template.is_json and not is_json(filled):
            return BROKEN_JSON
        return filled

    def _fill(self, values: "_Values") -> bytes | TransformError:
        filled: list[bytes] = []
        left = MAX_INPUT_BYTES
        for piece in self._template.pieces:
            text = piece if isinstance(piece, bytes) else values.written(piece)
            left -= len(text)
            if left < 0:
                return TOO_LONG
            filled.append(text)
        return b"".join(filled)


class _Values:
    """The variables of a template for one record, each found and written at most once."""

    def __init__(self, paths: dict[str, Path | None], record: Record, rule: Rule, in_json: bool) -> None:
        self._paths = paths
        self._record = record
        self._rule = rule
        self._in_json = in_json
        self._document = EventDocument(record.event)
        self._written: dict[Placeholder, bytes] = {}

    def written(self, placeholder: Placeholder) -> bytes:
        """The text that goes where `placeholder` stands."""
        if placeholder not in self._written:
            found = self._find(placeholder.name)
            self._written[placeholder] = self._quoted(found) if placeholder.quoted else found or b'""'
        return self._written[placeholder]

    def _quoted(self, found: bytes | None) -> bytes:
        if found is None:
            return b""
        if found[:1] == b'"':
            return string_text(found).encode()
        return found if self._in_json else _QUOTE.sub(rb"\1", found)

    def _find(self, name: str) -> bytes | None:
        """The JSON text of a variable; None if its path leads to nothing."""
        match name:
            case Reserved.RULE_ARN:
                return _encode(self._rule.arn)
            case Reserved.RULE_NAME:
                return _encode(self._rule.name)
            case Reserved.INGESTION_TIME:
                return _encode(_iso(self._record.stored_at))
            case Reserved.EVENT:
                return _without_detail(self._record.event)
            case Reserved.EVENT_JSON:
                return self._record.event.encode()
        path = self._paths[name]
        return None if path is None else self._document.find(path)


def _without_detail(event: Event) -> bytes:
    """`<aws.events.event>`: the envelope without its detail; it says `detailType` (recorded)."""
    replay = {} if event.replay_name is None else {"replay-name": event.replay_name}
    members = {
        "version": "0",
        "id": event.id,
        "detailType": event.detail_type,
        "source": event.source,
        "account": event.account,
        "time": event.time,
        "region": event.region,
        **replay,
        "resources": event.resources,
    }
    return _encode(members)


def _iso(instant: datetime) -> str:
    """ISO 8601 (documented), to the millisecond (assumed)."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
