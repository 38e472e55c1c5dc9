"""Rules: what goes where, tried on events of the past before it is put."""

from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from partnerbus.api.admin.archives import ArchiveList
from partnerbus.api.admin.backtests import BacktestResult
from partnerbus.api.admin.buses import BusList
from partnerbus.api.admin.destinations import DestinationList
from partnerbus.api.admin.health_views import RuleHealth, RuleHealthList
from partnerbus.api.admin.webhooks import WebhookList
from partnerbus.api.v1.rule_targets import ChangeOutput, ListTargetsOutput, TargetShape
from partnerbus.api.v1.rules import DescribeOutput
from partnerbus.console.door import Screen
from partnerbus.console.inputs import read_input, with_input
from partnerbus.console.refusal import Refused
from partnerbus.console.visit import Nothing, Visit
from partnerbus.model import arns
from partnerbus.model.arns import DEFAULT_BUS, Arn

PAGE = 100
MOST = 200
TRIED_EVENTS = 1_000


V = TypeVar("V", bound=msgspec.Struct)


async def list_rules(visit: Visit) -> Response:
    query = visit.request.query_params
    wanted = {"bus": bus} if (bus := query.get("bus", "").strip()) else {}
    found = await visit.ask(
        "/health/rules", RuleHealthList, limit=PAGE, after=query.get("after"), minutes="true", **wanted
    )
    following = urlencode(wanted | {"after": found.next}) if found.next is not None else None
    return visit.page("rules.html", rules=found.rules, bus=bus, following=following)


async def new_rule(visit: Visit) -> Response:
    given = {name: visit.request.query_params.get(name, "") for name in ("bus", "name", "pattern")}
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
    return await _page(visit, await rule_at(visit, visit.request.query_params.get("arn", "")))


async def change_rule(visit: Visit) -> Response:
    """What the buttons of a rule's page do: try or save its pattern, enable, disable, delete, targets."""
    form = visit.form
    rule = await rule_at(visit, form.text("rule"))
    match form.text("do"):
        case "try":
            return await _page(visit, rule, pattern=form.text("pattern"), outcome=await tried(visit))
        case "save":
            return await _save(visit, rule)
        case "enable" | "disable" | "delete" as verb:
            return await _plainly(visit, rule, verb)
        case "put-target":
            return await _put_target(visit, rule)
        case "put-input":
            return await _put_input(visit, rule)
        case "remove-target":
            await call_on(visit, "RemoveTargets", rule, {"Ids": [form.text("id")]}, ChangeOutput, "Rule")
            return visit.go(page_of(rule.arn), "The target is removed.")
        case _:
            raise Refused(400, "There is no such button.")


async def _save(visit: Visit, rule: RuleHealth) -> Response:
    """Put the rule with another pattern, and with all else that it has: what is left out would be gone."""
    pattern = visit.form.text("pattern")
    had = await call_on(visit, "DescribeRule", rule, {}, DescribeOutput)
    members = {
        "EventPattern": pattern or None,
        "ScheduleExpression": had.schedule_expression,
        "State": had.state,
        "Description": had.description,
        "RoleArn": had.role_arn,
    }
    try:
        await call_on(visit, "PutRule", rule, members, Nothing)
    except Refused as refused:
        return await _page(visit, rule, pattern=pattern, refusal=refused.sentence)
    return visit.go(page_of(rule.arn), "The pattern is saved.")


async def _plainly(visit: Visit, rule: RuleHealth, verb: str) -> Response:
    await call_on(visit, f"{verb.capitalize()}Rule", rule, {}, Nothing)
    to = "/console/rules" if verb == "delete" else page_of(rule.arn)
    return visit.go(to, f"The rule {rule.name} is {verb.rstrip('e')}ed.")


async def _put_target(visit: Visit, rule: RuleHealth) -> Response:
    target = {"Id": visit.form.text("id"), "Arn": visit.form.text("target")}
    return await _put_targets(
        visit, rule, [target], "The target is there; it gets what is stored from now on."
    )


async def _put_input(visit: Visit, rule: RuleHealth) -> Response:
    """Let the targets of a rule, or one of them, be sent something else."""
    chosen, sent = visit.form.text("target"), read_input(visit.form)
    if sent is None:
        raise Refused(400, "Say what the targets are to be sent.")
    targets = [with_input(each, sent) for each in await targets_of(visit, rule) if chosen in ("", each.id)]
    return await _put_targets(visit, rule, targets, "What is attempted from now on is sent like that.")


async def _put_targets(visit: Visit, rule: RuleHealth, targets: Sequence[object], notice: str) -> Response:
    try:
        done = await call_on(visit, "PutTargets", rule, {"Targets": targets}, ChangeOutput, "Rule")
    except Refused as refused:
        return await _page(visit, rule, refusal=refused.sentence)
    if done.failed_entries:
        return await _page(visit, rule, refusal=done.failed_entries[0].error_message)
    return visit.go(page_of(rule.arn), notice)


async def _page(
    visit: Visit,
    rule: RuleHealth,
    *,
    pattern: str | None = None,
    outcome: Markup | None = None,
    refusal: str | None = None,
) -> Response:
    described = await call_on(visit, "DescribeRule", rule, {}, DescribeOutput)
    bus = arns.bus_arn(rule.region, rule.account, rule.bus)
    return visit.page(
        "rule.html",
        200 if refusal is None else 400,
        rule=rule,
        described=described,
        pattern=pattern if pattern is not None else described.event_pattern or "",
        known=await _known_targets(visit, rule),
        targets=await targets_of(visit, rule),
        bus=bus,
        archives=(await visit.ask("/archives", ArchiveList, bus=bus, limit=MOST)).archives,
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


async def targets_of(visit: Visit, rule: RuleHealth) -> list[TargetShape]:
    """The targets of a rule, as they were put."""
    found = await call_on(visit, "ListTargetsByRule", rule, {}, ListTargetsOutput, "Rule")
    return found.targets


async def pattern_of(visit: Visit, rule: RuleHealth) -> str:
    """The pattern of a rule; empty if it has a schedule alone."""
    return (await call_on(visit, "DescribeRule", rule, {}, DescribeOutput)).event_pattern or ""


async def rule_at(visit: Visit, arn: str) -> RuleHealth:
    """The rule of the viewer's with that ARN."""
    found = (await visit.ask("/health/rules", RuleHealthList, rule=arn, minutes="true")).rules
    if not found:
        raise Refused(404, "There is no such rule.")
    return found[0]


async def call_on(
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
