"""The policy of a bus: who may put events on it, or change its rules, and the statements it is made of."""

from collections.abc import Mapping
from typing import Any

import msgspec

from partnerbus.model.arns import Arn
from partnerbus.model.policy import AccessRequest, MalformedPolicy, Verdict, parse_policy
from partnerbus.model.resources import EventBus

PUT_EVENTS = "events:PutEvents"
ANYBODY = "*"
VERSION = "2012-10-17"


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way to a bus. `account` puts it: by a call, or by the rule with ARN `rule_arn`."""

    account: str
    source: str
    detail_type: str
    rule_arn: str | None = None


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that allows `principal`, an account or `*`, an action, perhaps under a condition."""

    sid: str
    principal: str
    action: str
    condition: tuple[str, str, str] | None = None


def root_arn(account: str) -> str:
    """The principal that stands for a whole account."""
    return f"arn:aws:iam::{account}:root"


def may_put(bus: EventBus, put: Put) -> bool:
    """Whether the event may be put on `bus`."""
    return allows(bus, _request(bus, put))


def allows(bus: EventBus, request: AccessRequest) -> bool:
    """Whether the policy of `bus` lets this be done.

    The bus's own account may do everything that the policy does not deny, any other one only what the policy
    allows (documented). A stored policy that cannot be read any more denies.
    """
    is_own = request.account == bus.account
    if bus.policy is None:
        return is_own
    policy = parse_policy(bus.policy)
    if isinstance(policy, MalformedPolicy):
        return False
    verdict = policy.judge(request)
    return verdict is Verdict.ALLOWED or (is_own and verdict is Verdict.SILENT)


def principal_context(account: str) -> Mapping[str, tuple[str, ...]]:
    """The condition keys that say who calls."""
    return {"aws:principalaccount": (account,), "aws:principalarn": (root_arn(account),)}


def _request(bus: EventBus, put: Put) -> AccessRequest:
    by_rule = put.rule_arn is not None
    sender = Arn.parse(put.rule_arn or "")
    return AccessRequest(
        account=put.account,
        action=PUT_EVENTS,
        resource=bus.arn,
        context={
            "events:source": (put.source,),
            "events:detail-type": (put.detail_type,),
            "events:eventbusinvocation": ("true" if by_rule else "false",),
            "aws:sourcearn": (put.rule_arn,) if put.rule_arn is not None else (),
            "aws:sourceaccount": (sender.account,) if sender is not None else (),
            **principal_context(put.account),
        },
    )


# -- statements --------------------------------------------------------------------------------------------


def with_permission(policy: str | None, bus_arn: str, permission: Permission) -> str:
    """The policy with one more statement, or with another one in the place of that with the same Sid."""
    document, statements = _opened(policy)
    made = _written(bus_arn, permission)
    sids = [found.get("Sid") for found in statements]
    at = sids.index(permission.sid) if permission.sid in sids else len(sids)
    return _closed(document, [*statements[:at], made, *statements[at + 1 :]])


def without_permission(policy: str, sid: str) -> str | None:
    """The policy without the statement `sid`: empty if it was the last; None if there is none such."""
    document, statements = _opened(policy)
    left = [found for found in statements if found.get("Sid") != sid]
    if len(left) == len(statements):
        return None
    return _closed(document, left) if left else ""


def _written(bus_arn: str, permission: Permission) -> dict[str, object]:
    """A statement as the service writes it (recorded)."""
    account = permission.principal
    made: dict[str, object] = {
        "Sid": permission.sid,
        "Effect": "Allow",
        "Principal": ANYBODY if account == ANYBODY else {"AWS": root_arn(account)},
        "Action": permission.action,
        "Resource": bus_arn,
    }
    if permission.condition is not None:
        operator, key, value = permission.condition
        made["Condition"] = {operator: {key: value}}
    return made


def _opened(policy: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    document: dict[str, Any] = {"Version": VERSION} if policy is None else msgspec.json.decode(policy)
    statements: list[dict[str, Any]] | dict[str, Any] = document.get("Statement", [])
    return document, statements if isinstance(statements, list) else [statements]


def _closed(document: dict[str, Any], statements: list[dict[str, Any]]) -> str:
    return msgspec.json.encode({**document, "Statement": statements}).decode()
