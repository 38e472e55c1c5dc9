"""A request before its body."""

from collections.abc import Sequence

import msgspec


class RequestHead(msgspec.Struct, frozen=True, kw_only=True):
    """Method, raw query and headers as they came; header names are lower-case."""

    method: str
    query: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = ()

    def values(self, name: bytes) -> list[str]:
        """Every value of a header, in order, blanks around them removed."""
        return [value.decode("latin-1").strip() for found, value in self.headers if found == name]

    def one(self, name: bytes) -> str | None:
        """The value of a header that stands exactly once; None if it is absent or repeated."""
        values = self.values(name)
        return values[0] if len(values) == 1 else None
