"""The language of input templates: literal text with `<placeholders>`, and which templates cannot work.

A template is a JSON object or array, or text of one or more quoted lines (documented). Whether a placeholder
is inside or outside quotes decides how its value is written, so it is found out here, once.
"""

import re
from enum import StrEnum
from typing import TypeAlias

import msgspec

from partnerbus.model.resources import InputTransformer


class Reserved(StrEnum):
    """The variables that every template may use (documented)."""

    RULE_ARN = "aws.events.rule-arn"
    RULE_NAME = "aws.events.rule-name"
    INGESTION_TIME = "aws.events.event.ingestion-time"
    EVENT = "aws.events.event"
    EVENT_JSON = "aws.events.event.json"


class Placeholder(msgspec.Struct, frozen=True):
    """Where a variable's value goes."""

    name: str
    quoted: bool


Piece: TypeAlias = bytes | Placeholder


class Template(msgspec.Struct, frozen=True):
    """A template cut at its placeholders; `is_json` says which of the two kinds it is."""

    pieces: tuple[Piece, ...]
    is_json: bool


UNKNOWN_PLACEHOLDER = "InputTemplate for target {} contains invalid placeholder {}."
"""Recorded."""

INVALID = "Invalid InputTemplate for target {}. Reason: {}."
NO_JSON = "It is not valid JSON when values stand in it"
PLACEHOLDER_IN_KEY = "A placeholder cannot be in the name of a member"
EVENT_IN_STRING = "<{}> can only be a value of its own, not inside a string"
NO_TEXT = "It is neither a JSON object or array nor text inside quotation marks"
"""That these cannot work is documented; the texts, and that PutTargets refuses them, are assumed."""

_TOKEN = re.compile(r'\\.|"|<([A-Za-z0-9_.\-]+)>', re.DOTALL)
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*+)"(\s*:)?', re.DOTALL)
_QUOTED_LINES = re.compile(r'(?:\s*+"(?:[^"\\]|\\.)*+")++\s*+', re.DOTALL)
_PLACEHOLDER_ALONE = re.compile(r"\s*<[A-Za-z0-9_.\-]+>\s*")
_EVENTS = (Reserved.EVENT, Reserved.EVENT_JSON)

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


def parse_template(text: str) -> Template:
    """The template in `text`, whether it can work or not. A backslash takes the next character's meaning."""
    pieces: list[Piece] = []
    quoted, start = False, 0
    for token in _TOKEN.finditer(text):
        if token[0] == '"':
            quoted = not quoted
        elif token[1] is not None:
            pieces += (text[start : token.start()].encode(), Placeholder(token[1], quoted))
            start = token.end()
    pieces.append(text[start:].encode())
    return Template(pieces=tuple(pieces), is_json=text.lstrip()[:1] in ("{", "["))


def template_refusal(target_id: str, transformer: InputTransformer) -> str | None:
    """Why a target's template cannot work, in the service's words; None if it can."""
    template = parse_template(transformer.template)
    placeholders = [piece for piece in template.pieces if isinstance(piece, Placeholder)]
    known = frozenset(Reserved).union(transformer.paths)
    for placeholder in placeholders:
        if placeholder.name not in known:
            return UNKNOWN_PLACEHOLDER.format(target_id, placeholder.name)
    fault = _json_fault(template, placeholders) if template.is_json else _text_fault(transformer.template)
    return None if fault is None else INVALID.format(target_id, fault)


def template_members(transformer: InputTransformer) -> frozenset[str] | None:
    """The members of the JSON object that a template makes; None if it makes something else."""
    try:
        return frozenset(_decode_members(_with_stand_ins(parse_template(transformer.template))))
    except (msgspec.DecodeError, RecursionError):
        return None


def is_json(text: bytes) -> bool:
    """Whether `text` is one JSON value in UTF-8."""
    try:
        text.decode()
        _decode_raw(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _json_fault(template: Template, placeholders: list[Placeholder]) -> str | None:
    filled = _with_stand_ins(template)
    if not is_json(filled):
        return NO_JSON
    if any(colon and _names_placeholder(name) for name, colon in _STRING.findall(filled)):
        return PLACEHOLDER_IN_KEY
    for placeholder in placeholders:
        if placeholder.quoted and placeholder.name in _EVENTS:
            return EVENT_IN_STRING.format(placeholder.name)
    return None


def _text_fault(text: str) -> str | None:
    """A placeholder that stands alone works too: its value is JSON."""
    if _QUOTED_LINES.fullmatch(text) or _PLACEHOLDER_ALONE.fullmatch(text):
        return None
    return NO_TEXT


def _with_stand_ins(template: Template) -> bytes:
    """A JSON template with a value outside quotes for each placeholder there; those inside stay."""
    return b"".join(_stand_in(piece) for piece in template.pieces)


def _stand_in(piece: Piece) -> bytes:
    if isinstance(piece, bytes):
        return piece
    return f"<{piece.name}>".encode() if piece.quoted else b"0"


def _names_placeholder(text: bytes) -> bool:
    return any(token[1] for token in _TOKEN.finditer(text.decode()))
