"""`partnerbus pattern`: does a pattern match an event, and why. Needs no server and no folder."""

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from partnerbus.api.admin.patterns import LARGEST_BODY, read_event, read_pattern
from partnerbus.api.admin.request import AdminRefused
from partnerbus.cli.serve import RECURSION_LEVELS
from partnerbus.patterns import EventFields
from partnerbus.patterns.explain import explain as explain_match
from partnerbus.patterns.explanation import (
    ClauseExplanation,
    ConjunctionExplanation,
    Explanation,
    Outcome,
    Seen,
)


class Unreadable(click.ClickException):
    """The pattern or the event cannot be read."""

    exit_code = 2


@click.group()
def pattern() -> None:
    """Say whether a pattern matches an event, and why.

    PATTERN and EVENT are JSON, @FILE for what a file holds, or - for standard input. No server is needed.
    """


def explains(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command PATTERN and EVENT, and their explanation as its first argument."""

    @click.argument("pattern", metavar="PATTERN")
    @click.argument("event", metavar="EVENT")
    @click.option("--detail", "only_detail", is_flag=True, help="EVENT is no more than an event's detail.")
    @click.option("--source", metavar="TEXT", help="The source that goes with --detail.")
    @click.option("--detail-type", metavar="TEXT", help="The detail-type that goes with --detail.")
    @functools.wraps(command)
    def explaining(
        pattern: str,
        event: str,
        only_detail: bool,
        source: str | None,
        detail_type: str | None,
        **options: Any,
    ) -> None:
        if pattern == event == "-":
            raise click.UsageError("only one of PATTERN and EVENT can come from standard input")
        named = {"source": source, "detail-type": detail_type}
        envelope: dict[str, object] = {name: text for name, text in named.items() if text is not None}
        if envelope and not only_detail:
            raise click.UsageError("--source and --detail-type go with --detail")
        sys.setrecursionlimit(RECURSION_LEVELS)  # an event may nest as deeply here as in a server
        found = _explain(pattern, event, envelope if only_detail else None)
        command(found, **options)

    return explaining


class Verdict(msgspec.Struct, frozen=True):
    """Whether it is a match."""

    matched: bool


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@pattern.command()
@json_option
@explains
def test(found: Explanation, as_json: bool) -> None:
    """Print `match` or `no match`, and exit with status 0 or 1."""
    click.echo(msgspec.json.encode(Verdict(found.matched)) if as_json else _verdict(found))
    sys.exit(0 if found.matched else 1)


@pattern.command()
@json_option
@explains
def explain(found: Explanation, as_json: bool) -> None:
    """Print which fields of PATTERN fit EVENT, which do not, and what stands there instead."""
    click.echo(msgspec.json.encode(found).decode() if as_json else in_words(found))


# -- reading -------------------------------------------------------------------------------------------


def _explain(pattern: str, event: str, envelope: dict[str, object] | None) -> Explanation:
    """The explanation; with an `envelope`, `event` is only the detail that belongs in it."""
    try:
        wanted = read_pattern(_text_of(pattern, "pattern"))
        text = _text_of(event, "event")
        fields = read_event(text)
    except AdminRefused as refused:
        raise Unreadable(str(refused)) from None
    return explain_match(wanted, fields if envelope is None else EventFields(envelope, text.encode()))


def _text_of(argument: str, what: str) -> str:
    """What an argument stands for."""
    if argument != "-" and not argument.startswith("@"):
        return argument
    try:
        found = _bytes_of(argument)
        if len(found) > LARGEST_BODY:
            raise Unreadable(f"the {what} is larger than {LARGEST_BODY} bytes")
        return found.decode()
    except OSError as error:
        raise Unreadable(f"the {what} cannot be read: {error}") from None
    except UnicodeDecodeError:
        raise Unreadable(f"the {what} is not UTF-8") from None


def _bytes_of(argument: str) -> bytes:
    """What a file or standard input holds, but not much more than may be."""
    if argument == "-":
        return sys.stdin.buffer.read(LARGEST_BODY + 1)
    with Path(argument[1:]).open("rb") as file:
        return file.read(LARGEST_BODY + 1)


# -- printing ------------------------------------------------------------------------------------------

_MARKS = {
    Outcome.FITS: "fits",
    Outcome.MISSING: "MISSING",
    Outcome.DOES_NOT_FIT: "FAILS",
    Outcome.OTHER_ELEMENT: "FAILS",
}


def in_words(found: Explanation) -> str:
    """An explanation for people to read."""
    return "\n".join((_verdict(found), *_lines(found)))


def _verdict(found: Explanation) -> str:
    return "match" if found.matched else "no match"


def _lines(found: Explanation) -> Iterator[str]:
    for conjunction in found.conjunctions:
        yield ""
        if found.tried > 1:
            yield _head(conjunction, found.tried)
        for clause in conjunction.clauses:
            yield from _clause_lines(clause)
        if conjunction.more_clauses:
            yield f"… and {conjunction.more_clauses} more fields"
    more = found.tried - len(found.conjunctions)
    if more and not found.matched:
        yield from ("", f"… and {more} more combinations of $or branches, none nearer")


def _head(conjunction: ConjunctionExplanation, tried: int) -> str:
    """Which combination of branches this is."""
    if conjunction.matched:
        return f"combination {conjunction.number} of $or branches:"
    fields = "field fails" if conjunction.failing == 1 else "fields fail"
    return f"combination {conjunction.number} of {tried} of $or branches: {conjunction.failing} {fields}"


def _clause_lines(clause: ClauseExplanation) -> Iterator[str]:
    yield f"{_MARKS[clause.outcome]:<8}{clause.path}"
    yield f"    wants  {_wanted(clause)}"
    fits = clause.outcome is Outcome.FITS
    for seen in _worth_showing(clause):
        yield f"    {'has' if fits else 'sees':<7}{seen.value} at {seen.place}{_note(clause, seen)}"
    if clause.more_seen and not fits:
        yield f"           and {clause.more_seen} more values"
    if not (fits and clause.seen):
        yield f"    why    {clause.reason}"
    for hint in clause.hints:
        yield f"    hint   {hint.sentence}"


def _wanted(clause: ClauseExplanation) -> str:
    more = f", or one of {clause.more_alternatives} more" if clause.more_alternatives else ""
    return " or ".join(each.words for each in clause.alternatives) + more


def _worth_showing(clause: ClauseExplanation) -> list[Seen]:
    """The values behind a match; where there was none, all."""
    if clause.outcome is not Outcome.FITS:
        return list(clause.seen)
    return [seen for seen in clause.seen if seen.made_it] or [seen for seen in clause.seen if seen.fits]


def _note(clause: ClauseExplanation, seen: Seen) -> str:
    return " (fits)" if seen.fits and clause.outcome is Outcome.OTHER_ELEMENT else ""
