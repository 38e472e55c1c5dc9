"""Secrets in what is kept for people to read: every spelling of them is replaced."""

import base64
import json
from collections.abc import Collection
from urllib.parse import quote, quote_plus

HIDDEN = "***"


def hide(text: str, secrets: Collection[str], *, is_cut: bool = False) -> str:
    """`text` with every secret hidden. If it was cut, what could be the first part of one goes with it."""
    # No spelling is shorter than its secret, so a short text holds none of the long ones.
    spelled = {spelling for secret in secrets if len(secret) <= len(text) for spelling in _spellings(secret)}
    for spelling in sorted(spelled, key=len, reverse=True):
        text = text.replace(spelling, HIDDEN)
    if is_cut:  # perhaps within a secret
        text = text[: max(0, len(text) - max(map(len, spelled), default=0))]
    return text


def _spellings(secret: str) -> set[str]:
    """How a secret may be written: as it is, in JSON, in a URL, in base64."""
    in_json = json.dumps(secret)[1:-1]
    in_json_unicode = json.dumps(secret, ensure_ascii=False)[1:-1]
    encoded = base64.b64encode(secret.encode()).decode()
    spelled = {
        secret,
        in_json,
        in_json_unicode,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        encoded,
    }
    return {text for text in spelled if text}
