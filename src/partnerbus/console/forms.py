"""Forms, as browsers send them, within limits."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from partnerbus.console.refusal import Refused

LARGEST_FORM = 512 * 1024
MOST_FIELDS = 2_000


class Form:
    """The fields of a form. A field that is left empty counts as not given."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def text(self, name: str) -> str:
        """What stands in a field, without blanks around it; empty if nothing does."""
        return next((value.strip() for key, value in self._pairs if key == name), "")

    def maybe(self, name: str) -> str | None:
        return self.text(name) or None

    def every(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]

    def given(self, *names: str) -> Mapping[str, str]:
        """Those of the fields that have something in them."""
        return {name: text for name in names if (text := self.text(name))}


async def read_form(request: Request) -> Form:
    """The form in a request; a `Refused` for what is none, or too large."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415, "This takes a form, as a browser sends it.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise Refused(413, f"The form is larger than {LARGEST_FORM // 1024} KiB.")
    try:
        text = body.decode("ascii")
        return Form(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"))
    except ValueError:
        raise Refused(400, "The form cannot be read.") from None
