"""A request before its body."""

from collections.abc import Iterable, KeysView


class RequestHead:
    """Method, raw path, raw query and headers as they came; header names are lower-case."""

    __slots__ = ("_headers", "method", "path", "query")

    def __init__(
        self,
        *,
        method: str,
        path: bytes = b"/",
        query: bytes = b"",
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self._headers = found = dict[bytes, tuple[bytes, ...]]()
        for name, value in headers:
            found[name] = (*found[name], value) if name in found else (value,)

    @property
    def names(self) -> KeysView[bytes]:
        """The names of its headers."""
        return self._headers.keys()

    def raw(self, name: bytes) -> tuple[bytes, ...]:
        """Every value of a header, in order, as it came."""
        return self._headers.get(name, ())

    def values(self, name: bytes) -> list[str]:
        """Every value of a header, in order, blanks around them removed."""
        return [value.decode("latin-1").strip() for value in self.raw(name)]

    def one(self, name: bytes) -> str | None:
        """The value of a header that stands exactly once; None if it is absent or repeated."""
        values = self.raw(name)
        return values[0].decode("latin-1").strip() if len(values) == 1 else None
