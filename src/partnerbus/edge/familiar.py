"""Heads like one that was judged before.

On all its requests of a day an SDK writes the same Authorization header up to the signature, beside headers
of the same names. These two alone decide the form of the signature, its scope, which headers are signed and
which have to be: once that was judged it is remembered, and only what differs is looked at. The instant, who
holds the key now, and the signature itself are judged of every request.
"""

import msgspec

from partnerbus.edge.head import RequestHead
from partnerbus.edge.presented import BASIC, Algorithm, Presented

REMEMBERED = 1_024
LONGEST_BYTES = 2_048
"""A longer header is judged each time: what is remembered takes memory."""

_SIGNATURE_CHARACTERS = 64

_Outline = tuple[bytes, ...]
"""What stands before the signature, and the names of all headers."""


class Familiar:
    """Remembers a bounded number of heads that are signed by SigV4 in their Authorization header."""

    def __init__(self) -> None:
        self._known: dict[_Outline, Presented] = {}

    def recall(self, head: RequestHead) -> Presented | None:
        """What would be read from the head, which is in order; None if it has to be judged in full."""
        outline, signature = _split(head)
        known = self._known.get(outline)
        if known is None:
            return None
        signed_at = head.one(b"x-amz-date") or ""
        if BASIC.fullmatch(signed_at) is None or not signed_at.startswith(known.day):
            return None
        return msgspec.structs.replace(known, signature=signature.decode(), signed_at=signed_at)

    def remember(self, head: RequestHead, presented: Presented) -> None:
        """Everything about the head was found in order, its instant and its signature left aside."""
        outline, _ = _split(head)
        if (
            not outline
            or presented.algorithm is not Algorithm.SIGV4
            or sum(map(len, outline)) > LONGEST_BYTES
        ):
            return
        if len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[outline] = presented

    def __len__(self) -> int:
        """How many heads are remembered."""
        return len(self._known)


def _split(head: RequestHead) -> tuple[_Outline, bytes]:
    """The outline of a head and its signature; both empty if it is none of those that are remembered."""
    found = head.raw(b"authorization")
    if len(found) != 1 or head.query:
        return (), b""
    before, _, signature = found[0].rpartition(b"Signature=")
    if len(signature) != _SIGNATURE_CHARACTERS or not signature.isalnum():
        return (), b""
    return (before, *head.names), signature
