"""Templates, and how values are written in them. Whatever stands in a value is escaped."""

import hashlib
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import quote

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from partnerbus.console.spark import sparkline
from partnerbus.model.arns import Arn

SHOWN_CHARACTERS = 20_000
"""How much of a JSON document a page shows; the rest is a link away."""

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


class Pages:
    """The templates of the console."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("partnerbus.console", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "anchor": anchor,
            "arn": short_arn,
            "target_name": target_name,
            "target_page": target_page,
            "count": "{:,}".format,
            "instant": instant,
            "json": pretty_json,
            "seg": partial(quote, safe=""),
            "size": size,
            "span": span,
            "sparkline": sparkline,
        }
        self._environment.globals |= {"ago": ago, "shown_characters": SHOWN_CHARACTERS}

    def render(self, template: str, **values: object) -> str:
        return self._environment.get_template(template).render(values)


def instant(when: datetime) -> str:
    """An instant to the second; its zone is said by the page."""
    return f"{when:%Y-%m-%d %H:%M:%S}"


def ago(when: datetime, now: datetime) -> Markup:
    """How long ago, or how soon, with the instant itself beside it for machines and the pointer."""
    passed = (now - when).total_seconds()
    words = f"{span(passed)} ago" if passed > 0 else f"in {span(-passed)}"
    if abs(passed) < 1:
        words = "now"
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        when.isoformat(timespec="milliseconds"), instant(when), words
    )


def span(seconds: float | timedelta) -> str:
    """A duration in its largest unit, or two: `41 s`, `3 min`, `2 h 5 min`."""
    total = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    if total < 1:
        return f"{total * 1000:.0f} ms" if total >= 0.001 else "0 s"
    for place, (unit, length) in enumerate(_UNITS):
        if total >= length:
            whole, rest = divmod(int(total), length)
            smaller = _UNITS[place + 1] if place + 1 < len(_UNITS) else None
            if smaller is None or rest < smaller[1] or unit == "min":
                return f"{whole} {unit}"
            return f"{whole} {unit} {rest // smaller[1]} {smaller[0]}"
    return "0 s"


def size(count: int) -> str:
    """Bytes, as people say them."""
    if count < 1024:
        return f"{count} B"
    if count < 1024 * 1024:
        return f"{count / 1024:.1f} KiB"
    return f"{count / 1024 / 1024:.1f} MiB"


def short_arn(text: str) -> str:
    """What an ARN names, in words: `webhook orders`, `API destination shop`; a bus by its name alone."""
    found = Arn.parse(text)
    if found is None:
        return text
    if found.service != "events":
        return f"{found.service} {found.resource}"
    kind, _, name = found.resource.partition("/")
    if kind in ("event-bus", "event-source"):
        return name
    if kind == "api-destination":
        return f"API destination {name.partition('/')[0]}"
    return f"{kind} {name}"


def target_name(text: str) -> str:
    """As `short_arn`, of a target: a bus is one among others there."""
    return f"bus {short_arn(text)}" if ":event-bus/" in text else short_arn(text)


def anchor(text: str) -> str:
    """An id for an element that stands for what `text` names, one that any selector takes as it is."""
    return f"at-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def target_page(text: str) -> str:
    """The page of a target, by its ARN."""
    found = Arn.parse(text)
    named = f"?arn={quote(text, safe='')}"
    if found is not None and found.service == "webhook":
        return "/console/targets/webhooks/webhook" + named
    if found is not None and found.service == "events" and found.resource.startswith("api-destination/"):
        return "/console/targets/api-destinations/destination" + named
    return "/console/targets/target" + named


def pretty_json(raw: msgspec.Raw | str) -> str:
    """JSON with a line per member, cut; as it is if it is none."""
    text = raw if isinstance(raw, str) else bytes(raw).decode("utf-8", "replace")
    if len(text) <= SHOWN_CHARACTERS:
        try:
            text = msgspec.json.format(text, indent=2)
        except (msgspec.MsgspecError, RecursionError):
            pass
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
