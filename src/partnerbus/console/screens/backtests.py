"""Backtests: a new or changed rule over what is stored or archived, and what would be delivered then."""

from starlette.responses import Response

from partnerbus.api.admin.archives import ArchiveList, ArchiveView
from partnerbus.api.admin.backtests import BacktestResult
from partnerbus.api.admin.health_views import RuleHealth
from partnerbus.console.door import Screen
from partnerbus.console.inputs import read_input
from partnerbus.console.refusal import Refused
from partnerbus.console.screens.rules import buses_of, pattern_of, rule_at, targets_of
from partnerbus.console.visit import Visit
from partnerbus.model import arns

MOST = 1_000
SAMPLES = 10
COUNTS = ("1000", "5000", "10000")
FIELDS = ("over", "pattern", "input", "text", "paths", "target", "since", "before", "limit")

NOTHING_TO_TRY = "Change the pattern or what is sent: as it is, the rule would do what it does."


async def show_backtest(visit: Visit) -> Response:
    """The form, of the rule that is named, or of a new one."""
    query = visit.request.query_params
    rule = await _rule(visit, query.get("rule", "").strip())
    given = dict.fromkeys(FIELDS, "") | {"limit": COUNTS[0], "over": query.get("over", "")}
    if rule is not None:
        given["pattern"] = await pattern_of(visit, rule)
    return await _page(visit, rule, given)


async def run_backtest(visit: Visit) -> Response:
    form = visit.form
    rule, given = await _rule(visit, form.text("rule")), {name: form.text(name) for name in FIELDS}
    result, refusal = None, None
    try:
        result = await visit.tell("/backtests", await _wanted(visit, rule), BacktestResult)
    except Refused as refused:
        refusal = refused
    return await _page(visit, rule, given, result, refusal)


async def _wanted(visit: Visit, rule: RuleHealth | None) -> dict[str, object]:
    """The backtest that the form describes."""
    form = visit.form
    over, pattern, sends = form.text("over"), form.maybe("pattern"), read_input(form)
    if rule is not None and sends is None and (pattern or "") == await pattern_of(visit, rule):
        raise Refused(400, NOTHING_TO_TRY)
    is_archive = ":archive/" in over
    return {
        "rule": rule.arn if rule is not None else None,
        "pattern": pattern,
        "input": sends,
        "target": form.maybe("target") if sends is not None else None,
        "archive": over if is_archive else None,
        "bus": over if rule is None and not is_archive else None,
        "since": _instant(form.maybe("since")),
        "before": _instant(form.maybe("before")),
        "after": form.maybe("after"),
        "limit": int(form.text("limit")) if form.text("limit") in COUNTS else int(COUNTS[0]),
        "samples": SAMPLES,
    }


def _instant(text: str | None) -> str | None:
    """What a browser's field gives, as an instant: they are UTC on our pages."""
    return text if text is None or text.endswith("Z") or "+" in text else f"{text}Z"


async def _page(
    visit: Visit,
    rule: RuleHealth | None,
    given: dict[str, str],
    result: BacktestResult | None = None,
    refusal: Refused | None = None,
) -> Response:
    bus = arns.bus_arn(rule.region, rule.account, rule.bus) if rule is not None else None
    archives = (await visit.ask("/archives", ArchiveList, limit=MOST)).archives
    return visit.page(
        "backtest.html",
        200 if refusal is None else refusal.status,
        rule=rule,
        bus=bus,
        buses=await buses_of(visit) if rule is None else [],
        archives=_nearest(archives, bus),
        targets=await targets_of(visit, rule) if rule is not None else [],
        given=given,
        counts=COUNTS,
        result=result,
        refusal=refusal.sentence if refusal is not None else None,
    )


def _nearest(archives: list[ArchiveView], bus: str | None) -> list[ArchiveView]:
    """The archives, those of the bus first."""
    return sorted(archives, key=lambda each: (each.bus != bus, each.name))


async def _rule(visit: Visit, arn: str) -> RuleHealth | None:
    return await rule_at(visit, arn) if arn else None


SCREENS = (Screen("GET", "/backtest", show_backtest), Screen("POST", "/backtest", run_backtest))
