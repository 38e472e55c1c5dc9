"""Rules: what goes where, tried on events of the past before it is put."""

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote

import msgspec
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from partnerbus.api.admin.backtests import BacktestResult
from partnerbus.api.admin.buses import BusList
from partnerbus.api.admin.destinations import DestinationList
from partnerbus.api.admin.health_views import RuleHealth, RuleHealthList
from partnerbus.api.admin.webhooks import WebhookList
from partnerbus.api.v1.rule_targets import ChangeOutput, ListTargetsOutput
from partnerbus.api.v1.rules import DescribeOutput
from partnerbus.console.door import Screen
from partnerbus.console.refusal import Refused
from partnerbus.console.visit import Nothing, Visit
from partnerbus.model import arns
from partnerbus.model.arns import DEFAULT_BUS, Arn

PAGE = 100
MOST = 200
TRIED_EVENTS = 1_000


V = TypeVar("V", bound=msgspec.Struct)


async def list_rules(visit: Visit) -> Response:
    after = visit.request.query_params.get("after")
    found = await visit.ask("/health/rules", RuleHealthList, limit=PAGE, after=after, minutes="true")
    return visit.page("rules.html", rules=found.rules, following=found.next)


async def new_rule(visit: Visit) -> Response:
    given = {"bus": "", "name": "", "pattern": ""}
    return visit.page("rule_new.html", given=given, buses=await buses_of(visit), refusal=None)


async def put_rule(visit: Visit) -> Response:
    """Make a rule, with a target if one is named; a refusal leaves the form as it was."""
    given = {name: visit.form.text(name) for name in ("bus", "name", "pattern")}
    owner, region = whose_bus(given["bus"])
    account = visit.viewer.account or owner
    members = {"Name": given["name"], "EventBusName": given["bus"], "EventPattern": given["pattern"]}
    try:
        await visit.call("PutRule", members, Nothing, account=account, region=region)
    except Refused as refused:
        return visit.page(
            "rule_new.html",
            refused.status,
            given=given,
            buses=await buses_of(visit),
            refusal=refused.sentence,
        )
    arn = Arn.parse(given["bus"])
    bus = arn.resource.partition("/")[2] if arn is not None else DEFAULT_BUS
    rule = arns.rule_arn(region or visit.region, account or visit.viewer.account or "", bus, given["name"])
    return visit.go(page_of(rule), f"The rule {given['name']} is there. Now say where it sends events.")


async def try_pattern(visit: Visit) -> Response:
    """What a pattern would match among the newest events: a part of a page, asked for while it is typed."""
    return HTMLResponse(await tried(visit))


async def tried(visit: Visit) -> Markup:
    result, refusal = None, None
    form = visit.form
    body = {"pattern": form.text("pattern"), "bus": form.maybe("bus"), "rule": form.maybe("rule")}
    try:
        result = await visit.tell("/backtests", body | {"limit": TRIED_EVENTS, "samples": 8}, BacktestResult)
    except Refused as refused:
        refusal = refused.sentence
    return visit.part("tried.html", result=result, refusal=refusal, has_rule=bool(form.text("rule")))


async def show_rule(visit: Visit) -> Response:
    return await _page(visit, await _found(visit, visit.request.query_params.get("arn", "")))


async def change_rule(visit: Visit) -> Response:
    """What the buttons of a rule's page do: try or save its pattern, enable, disable, delete, targets."""
    form = visit.form
    rule = await _found(visit, form.text("rule"))
    match form.text("do"):
        case "try":
            return await _page(visit, rule, pattern=form.text("pattern"), outcome=await tried(visit))
        case "save":
            members = {"EventPattern": form.text("pattern"), "State": rule.state.value}
            notice = "The pattern is saved."
        case "enable" | "disable" | "delete" as verb:
            return await _plainly(visit, rule, verb)
        case "put-target":
            return await _put_target(visit, rule)
        case "remove-target":
            await _call(visit, "RemoveTargets", rule, {"Ids": [form.text("id")]}, ChangeOutput, "Rule")
            return visit.go(page_of(rule.arn), "The target is removed.")
        case _:
            raise Refused(400, "There is no such button.")
    try:
        await _call(visit, "PutRule", rule, members, Nothing)
    except Refused as refused:
        return await _page(visit, rule, pattern=form.text("pattern"), refusal=refused.sentence)
    return visit.go(page_of(rule.arn), notice)


async def _plainly(visit: Visit, rule: RuleHealth, verb: str) -> Response:
    await _call(visit, f"{verb.capitalize()}Rule", rule, {}, Nothing)
    to = "/console/rules" if verb == "delete" else page_of(rule.arn)
    return visit.go(to, f"The rule {rule.name} is {verb.rstrip('e')}ed.")


async def _put_target(visit: Visit, rule: RuleHealth) -> Response:
    target = {"Id": visit.form.text("id"), "Arn": visit.form.text("target")}
    try:
        done = await _call(visit, "PutTargets", rule, {"Targets": [target]}, ChangeOutput, "Rule")
    except Refused as refused:
        return await _page(visit, rule, refusal=refused.sentence)
    if done.failed_entries:
        return await _page(visit, rule, refusal=done.failed_entries[0].error_message)
    return visit.go(page_of(rule.arn), "The target is there; it gets what is stored from now on.")


async def _page(
    visit: Visit,
    rule: RuleHealth,
    *,
    pattern: str | None = None,
    outcome: Markup | None = None,
    refusal: str | None = None,
) -> Response:
    described = await _call(visit, "DescribeRule", rule, {}, DescribeOutput)
    targets = await _call(visit, "ListTargetsByRule", rule, {}, ListTargetsOutput, "Rule")
    return visit.page(
        "rule.html",
        200 if refusal is None else 400,
        rule=rule,
        described=described,
        pattern=pattern if pattern is not None else described.event_pattern or "",
        targets=targets.targets,
        known=await _known_targets(visit, rule),
        outcome=outcome,
        refusal=refusal,
    )


async def _known_targets(visit: Visit, rule: RuleHealth) -> list[str]:
    """What the rule's account may have in mind as a target: what it has made for that."""
    whose = {"account": rule.account, "region": rule.region}
    destinations = await visit.ask("/api-destinations", DestinationList, limit=MOST, **whose)
    webhooks = await visit.ask("/webhooks", WebhookList, **whose)
    return [
        *(each.arn for each in destinations.destinations),
        *(each.arn for each in webhooks.webhooks[:MOST]),
    ]


async def _found(visit: Visit, arn: str) -> RuleHealth:
    found = (await visit.ask("/health/rules", RuleHealthList, rule=arn, minutes="true")).rules
    if not found:
        raise Refused(404, "There is no such rule.")
    return found[0]


async def _call(
    visit: Visit,
    operation: str,
    rule: RuleHealth,
    members: Mapping[str, object],
    kind: type[V],
    name: str = "Name",
) -> V:
    """Call an operation on a rule; `name` is the member that names the rule there."""
    bus = arns.bus_arn(rule.region, rule.account, rule.bus)
    account = visit.viewer.account or rule.account
    return await visit.call(
        operation,
        {name: rule.name, "EventBusName": bus, **members},
        kind,
        account=account,
        region=rule.region,
    )


async def buses_of(visit: Visit) -> list[str]:
    """The ARNs of the buses that the viewer may put rules on."""
    return [each.arn for each in (await visit.ask("/buses", BusList)).buses]


def whose_bus(arn: str) -> tuple[str | None, str | None]:
    """The account and the region of a bus; nothing if it is named otherwise."""
    found = Arn.parse(arn)
    return (found.account, found.region) if found is not None else (None, None)


def page_of(rule_arn: str) -> str:
    return f"/console/rules/rule?arn={quote(rule_arn, safe='')}"


SCREENS = (
    Screen("GET", "/rules", list_rules),
    Screen("GET", "/rules/new", new_rule),
    Screen("POST", "/rules/new", put_rule),
    Screen("POST", "/rules/try", try_pattern),
    Screen("GET", "/rules/rule", show_rule),
    Screen("POST", "/rules/rule", change_rule),
)
