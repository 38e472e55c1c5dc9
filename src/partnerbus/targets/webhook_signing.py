"""Signatures of webhooks, as the Standard Webhooks specification (1.0) says.

    webhook-signature: v1,BASE64(HMAC-SHA256(secret, ID.TIMESTAMP.BODY))

While a secret is being rotated there is one signature for each that is valid, separated by spaces, so a
receiver that knows any of them accepts the request.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime

PREFIX = "whsec_"
SECRET_BYTES = 32
"""Of the 24 to 64 that the specification allows."""


def draw_secret() -> str:
    """A new secret, as receivers are given it: `whsec_` and base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed_headers(delivery_id: str, at: datetime, body: bytes, signing: Sequence[str]) -> Mapping[str, str]:
    """The headers that say what was sent when, signed with each of the secrets `signing`.

    `delivery_id` is the same for every attempt, so receivers can tell a repeat; `at` is the attempt's.
    """
    timestamp = str(int(at.timestamp()))
    signed = b".".join((delivery_id.encode(), timestamp.encode(), body))
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, signed) for secret in signing),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
