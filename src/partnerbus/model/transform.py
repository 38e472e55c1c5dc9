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
from enum import StrEnum
from typing import Protocol, TypeAlias

import msgspec

from partnerbus.model.delivery import Record
from partnerbus.model.event import Event
from partnerbus.model.paths import EventDocument, Path, PathError, parse_path, string_text
from partnerbus.model.reply import ErrorCode
from partnerbus.model.resources import InputTransformer, Rule, Target

MAX_INPUT_BYTES = 4 * 1024 * 1024
"""The longest input that a template may make (assumed): a large value can stand in it thousands of times."""


class Reserved(StrEnum):
    """The variables that every template may use (documented)."""

    RULE_ARN = "aws.events.rule-arn"
    RULE_NAME = "aws.events.rule-name"
    INGESTION_TIME = "aws.events.event.ingestion-time"
    EVENT = "aws.events.event"
    EVENT_JSON = "aws.events.event.json"


ONE_INPUT_ONLY = "Only one of Input, InputPath, or InputTransformer must be provided for target {}."
UNKNOWN_PLACEHOLDER = "InputTemplate for target {} contains invalid placeholder {}."
NOT_JSON = "Input for target {} is not a valid JSON text."
BAD_TEMPLATE = "Invalid InputTemplate for target {}."
"""The first two are recorded, the third was seen by users, the fourth is assumed."""

_RESERVED: frozenset[str] = frozenset(Reserved)
_TOKEN = re.compile(r'\\.|"|<([A-Za-z0-9_.\-]+)>', re.DOTALL)
_QUOTE = re.compile(rb'(\\.)|"', re.DOTALL)

_encode = msgspec.json.Encoder().encode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


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
    if target.input is not None and not _is_json(target.input.encode()):
        return NOT_JSON.format(target.id)
    if target.input_transformer is not None:
        return _template_refusal(target.id, target.input_transformer)
    return None


def template_members(transformer: InputTransformer) -> frozenset[str] | None:
    """The members of the JSON object that a template makes; None if it makes something else."""
    pieces = _cut(transformer.template, _RESERVED.union(transformer.paths))
    try:
        return frozenset(_decode_members(b"".join(_stand_in(piece) for piece in pieces)))
    except (msgspec.DecodeError, RecursionError):
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


class _Placeholder(msgspec.Struct, frozen=True):
    name: str
    quoted: bool


_Piece: TypeAlias = bytes | _Placeholder


class _Template:
    """A compiled InputTransformer."""

    def __init__(self, transformer: InputTransformer) -> None:
        self._paths = {name: parse_path(text) for name, text in transformer.paths.items()}
        self._pieces = _cut(transformer.template, _RESERVED.union(self._paths))
        self._is_json = _looks_like_json(transformer.template)

    def select(self, record: Record, rule: Rule) -> bytes | TransformError:
        values = _Values(self._paths, record, rule, self._is_json)
        try:
            filled = self._fill(values)
        except PathError:
            return UNREADABLE
        if isinstance(filled, bytes) and self._is_json and not _is_json(filled):
            return BROKEN_JSON
        return filled

    def _fill(self, values: "_Values") -> bytes | TransformError:
        filled: list[bytes] = []
        left = MAX_INPUT_BYTES
        for piece in self._pieces:
            text = piece if isinstance(piece, bytes) else values.written(piece)
            left -= len(text)
            if left < 0:
                return TOO_LONG
            filled.append(text)
        return b"".join(filled)


class _Values:
    """The variables of a template for one record, each found and written at most once."""

    def __init__(self, paths: dict[str, Path | None], record: Record, rule: Rule, is_json: bool) -> None:
        self._paths = paths
        self._record = record
        self._rule = rule
        self._is_json = is_json
        self._document = EventDocument(record.event)
        self._written: dict[_Placeholder, bytes] = {}

    def written(self, placeholder: _Placeholder) -> bytes:
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
        return found if self._is_json else _QUOTE.sub(rb"\1", found)

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


def _cut(template: str, names: frozenset[str]) -> list[_Piece]:
    """The template's literal pieces and placeholders; `<…>` that is no variable stays literal."""
    pieces: list[_Piece] = []
    quoted, start = False, 0
    for token in _TOKEN.finditer(template):
        if token[0] == '"':
            quoted = not quoted
        elif token[1] in names:
            pieces.append(template[start : token.start()].encode())
            pieces.append(_Placeholder(token[1], quoted))
            start = token.end()
    pieces.append(template[start:].encode())
    return pieces


def _template_refusal(target_id: str, transformer: InputTransformer) -> str | None:
    template = transformer.template
    for token in _TOKEN.finditer(template):
        name = token[1]
        if name is not None and name not in _RESERVED and name not in transformer.paths:
            return UNKNOWN_PLACEHOLDER.format(target_id, name)
    pieces = _cut(template, _RESERVED.union(transformer.paths))
    well_formed = _is_json_template if _looks_like_json(template) else _is_text_template
    return None if well_formed(pieces) else BAD_TEMPLATE.format(target_id)


def _looks_like_json(template: str) -> bool:
    return template.lstrip()[:1] in ("{", "[")


def _is_json_template(pieces: list[_Piece]) -> bool:
    """Whether it is JSON once values stand in it; a placeholder outside quotes may not be a key."""
    return _is_json(b"".join(_stand_in(piece) for piece in pieces))


def _stand_in(piece: _Piece) -> bytes:
    return piece if isinstance(piece, bytes) else b"" if piece.quoted else b"0"


def _is_text_template(pieces: list[_Piece]) -> bool:
    """Whether it is one or more quoted lines, or one placeholder alone."""
    bare = sum(isinstance(piece, _Placeholder) and not piece.quoted for piece in pieces)
    text = b"".join(piece for piece in pieces if isinstance(piece, bytes)).strip()
    if bare:
        return bare == 1 and not text
    outside = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", text, flags=re.DOTALL)
    return bool(text) and not outside.strip()


def _is_json(text: bytes) -> bool:
    """Whether `text` is one JSON value in UTF-8."""
    try:
        text.decode()
        _decode_raw(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _without_detail(event: Event) -> bytes:
    """`<aws.events.event>`: the envelope without its detail; it says `detailType` (recorded)."""
    members = {
        "version": "0",
        "id": event.id,
        "detailType": event.detail_type,
        "source": event.source,
        "account": event.account,
        "time": event.time,
        "region": event.region,
        "resources": event.resources,
    }
    if event.replay_name is not None:
        members["replay-name"] = event.replay_name
    return _encode(members)


def _iso(instant: datetime) -> str:
    """ISO 8601 (documented), to the millisecond (assumed)."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
