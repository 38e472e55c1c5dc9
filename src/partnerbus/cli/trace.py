"""`partnerbus trace` and `why`: did this event arrive, and if not, why?"""

from collections.abc import Iterator

import click

from partnerbus.api.admin.traces import AttemptTrace, DeliveryTrace, Trace
from partnerbus.api.admin.verdicts import Nearest, Verdict, Why
from partnerbus.cli.asking import Asker, asks, columns, given, instant, segment
from partnerbus.cli.pattern import in_words

_SHOWN_CHARACTERS = 300
_GOOD, _BAD = "green", "red"


@click.command()
@click.argument("event_id", metavar="EVENT_ID")
@click.option("--bus", help="On this bus, by name or ARN, if it is on several.")
@asks
def trace(asker: Asker, event_id: str, bus: str | None) -> None:
    """Follow an event from its id to the last byte: stored, judged, transformed, attempted, redriven."""
    found = asker.ask(Trace, "GET", f"/events/{segment(event_id)}/trace", query=given(bus=bus))
    asker.tell(found, lambda: "\n".join(_trace_lines(found)))


@click.command()
@click.argument("event_id", metavar="EVENT_ID")
@click.argument("rule", metavar="RULE", required=False)
@click.option("--pattern", help="Ask about this event pattern instead of a rule.")
@click.option("--bus", help="On this bus, by name or ARN, if the event is on several.")
@asks
def why(asker: Asker, event_id: str, rule: str | None, pattern: str | None, bus: str | None) -> None:
    """Say why RULE (a name or ARN) matches a stored event or not: the field, the operator, what stood there.

    Without RULE and --pattern: what every rule of its bus says of it, the nearest first.
    """
    if rule is not None and pattern is not None:
        raise click.UsageError("say either RULE or --pattern")
    path = f"/events/{segment(event_id)}"
    if pattern is not None:
        body: dict[str, object] = {"pattern": pattern, **given(bus=bus)}
        _tell_why(asker, asker.ask(Why, "POST", f"{path}/why", body=body))
    elif rule is not None:
        _tell_why(asker, asker.ask(Why, "GET", f"{path}/why", query=given(bus=bus, rule=rule)))
    else:
        found = asker.ask(Nearest, "GET", f"{path}/rules", query=given(bus=bus))
        asker.tell(found, lambda: _rules(found))


# -- why -----------------------------------------------------------------------------------------------


def _tell_why(asker: Asker, found: Why) -> None:
    asker.tell(found, lambda: "\n".join(_why_lines(found)))


def _why_lines(found: Why) -> Iterator[str]:
    if found.explanation is not None:
        yield in_words(found.explanation)
    elif found.verdict is not None:
        yield "match" if found.verdict.matches else "no match"
    if found.verdict is not None and found.verdict.blocked is not None:
        yield f"All the same it is owed nothing: {found.verdict.blocked}"


def _rules(found: Nearest) -> str:
    if not found.verdicts:
        return "The bus has no rules."
    more = f"\nand {found.more} rules more, which were not asked" if found.more else ""
    return columns(("RULE", "", "WHY"), [_rule(each) for each in found.verdicts]) + more


def _rule(verdict: Verdict) -> tuple[str, str, str]:
    return verdict.rule, "match" if verdict.matches else "no match", _reason(verdict)


def _reason(verdict: Verdict) -> str:
    """Why not, in a line."""
    if verdict.blocked is not None or verdict.miss is None:
        return verdict.blocked or ""
    more = f" (and {verdict.failing - 1} more)" if verdict.failing > 1 else ""
    return f"{verdict.miss.path}: {verdict.miss.reason}{more}"


# -- trace ---------------------------------------------------------------------------------------------


def _trace_lines(found: Trace) -> Iterator[str]:
    event = found.event
    if event is None:
        yield "The event is stored no longer; what was recorded of its attempts:"
        for each in found.exchanges:
            answer = each.message or (each.answered.status if each.answered is not None else "no answer")
            yield f"  {instant(each.started_at)}  attempt {each.number} at {each.target_arn}: {answer}"
        return
    yield f"{instant(event.stored_at)}  stored on {event.bus or 'a bus that is gone'}"
    yield f"    {event.detail_type} from {event.source}, {event.detail_bytes} bytes of detail"
    if not found.is_routed:
        yield "Its bus has not come to it yet."
        return
    yield ""
    yield from ("rules:", *(f"    {line}" for line in _verdict_lines(found)))
    for delivery in found.deliveries:
        yield ""
        yield from _delivery_lines(delivery)
    if not found.deliveries and found.states:  # what a partner sees of its customer's
        yield "deliveries: " + ", ".join(f"{count} {state}" for state, count in found.states.items())


def _verdict_lines(found: Trace) -> Iterator[str]:
    if not found.verdicts:
        yield "none on this bus"
    for verdict in found.verdicts:
        mark = click.style("match   ", fg=_GOOD) if verdict.matches else "no match"
        yield f"{mark}  {verdict.rule}  {_reason(verdict)}".rstrip()


def _delivery_lines(traced: DeliveryTrace) -> Iterator[str]:
    delivery = traced.delivery
    state = click.style(delivery.state.value, fg=_GOOD if delivery.state.value == "delivered" else _BAD)
    yield f"{state}  {delivery.rule or '-'} -> {delivery.target_arn}"
    yield f"    delivery  {delivery.id}"
    if traced.input is not None:
        shown = traced.input.error or _cut(traced.input.body or "")
        yield f"    input     {shown} ({traced.input.known.value}, {traced.input.body_bytes} bytes)"
    for attempt in traced.attempts:
        yield f"    {_attempt(attempt)}"
    if delivery.due_at is not None:
        yield f"    next      {instant(delivery.due_at)}"
    if delivery.exhausted is not None:
        yield f"    ended     {delivery.exhausted}"
    if delivery.redriven:
        yield f"    redriven  {delivery.redriven} times"
    if traced.copy is not None:
        yield f"    arrived   on {traced.copy.bus} as {traced.copy.id}"


def _attempt(attempt: AttemptTrace) -> str:
    answer = " ".join(str(part) for part in (attempt.status, attempt.error) if part is not None)
    said = _cut(attempt.message or attempt.answer_head)
    took = f"{1_000 * attempt.seconds:.0f} ms"
    return f"attempt {attempt.number}  {instant(attempt.started_at)}  {answer} in {took}  {said}".rstrip()


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…"
