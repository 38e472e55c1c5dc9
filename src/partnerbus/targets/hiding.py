"""Secrets in what is kept for people to read: every spelling of them is replaced."""

import base64
import json
import re
from collections.abc import Collection
from urllib.parse import quote, quote_plus

HIDDEN = "***"

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+")
"""What is written in JSON and in a URL as it is. Most secrets are, and each attempt that is traced asks."""


class Hider:
    """Hides some secrets, in text after text."""

    def __init__(self, secrets: Collection[str]) -> None:
        spelled = {spelling for secret in secrets for spelling in _spellings(secret)}
        self._spelled = sorted(spelled, key=len, reverse=True)

    def hide(self, text: str, *, is_cut: bool = False) -> str:
        """`text` with every secret hidden. If it was cut, what could be the first part of one goes, too."""
        for spelling in self._spelled:
            if spelling in text:
                text = text.replace(spelling, HIDDEN)
        if is_cut and self._spelled:  # perhaps within a secret
            text = text[: max(0, len(text) - len(self._spelled[0]))]
        return text


def _spellings(secret: str) -> set[str]:
    """How a secret may be written: as it is, in JSON, in a URL, in base64."""
    encoded = base64.b64encode(secret.encode()).decode()
    if _PLAIN.fullmatch(secret):
        return {secret, encoded}
    in_json = json.dumps(secret)[1:-1]
    in_json_unicode = json.dumps(secret, ensure_ascii=False)[1:-1]
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
