"""The quotas of an account, in one table.

The fields of `Quotas` are the table: name, default, bounds and what is counted. Handlers, `partnerbus account
quota`, the admin face and docs/quotas.md all read it. Defaults are the service's (its page of quotas, 2026);
here an operator may change each of them for each account, also those that the service never changes.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, get_args, get_type_hints

import msgspec
from msgspec import Meta

from partnerbus.model.resources import Account

MANY = 1_000_000


def _of(help_text: str, *, least: int = 0, most: int = MANY) -> Meta:
    return Meta(description=help_text, ge=least, le=most)


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """What an account may have. Counts are for one region, save where the help says otherwise."""

    event_buses: Annotated[int, _of("Event buses, partner ones included, besides the default one.")] = 100
    rules_per_bus: Annotated[int, _of("Rules of one event bus.")] = 300
    wildcard_rules_per_bus: Annotated[int, _of("Rules of one event bus whose pattern has a wildcard.")] = 30
    targets_per_rule: Annotated[int, _of("Targets of one rule.", most=100)] = 5
    pattern_characters: Annotated[int, _of("Characters of an event pattern.", least=1, most=4_096)] = 2_048
    policy_characters: Annotated[int, _of("Characters of the policy of a bus.")] = 10_240
    connections: Annotated[int, _of("Connections.")] = 3_000
    api_destinations: Annotated[int, _of("API destinations.")] = 3_000
    api_destination_rate: Annotated[
        int, _of("The highest InvocationRateLimitPerSecond of an API destination.", least=1)
    ] = 300
    endpoints: Annotated[int, _of("Global endpoints.")] = 100
    archives: Annotated[int, _of("Archives.")] = 100
    active_replays: Annotated[int, _of("Replays that have not ended.")] = 10
    put_events_rate: Annotated[int, _of("Requests of PutEvents a second.", least=1)] = 10_000
    put_partner_events_rate: Annotated[int, _of("Requests of PutPartnerEvents a second.", least=1)] = 1_400
    put_partner_events_burst: Annotated[
        int, _of("Requests of PutPartnerEvents at once, after a pause.", least=1)
    ] = 3_600
    control_plane_rate: Annotated[
        int, _of("Requests of all other operations together a second.", least=1)
    ] = 50
    endpoint_changes_rate: Annotated[
        int, _of("Requests of CreateEndpoint a second; of UpdateEndpoint, of DeleteEndpoint.", least=1)
    ] = 5


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table."""

    name: str
    default: int
    least: int
    most: int
    help: str


@cache
def table() -> Mapping[str, Quota]:
    """Every quota by the name that operators write, in the order of `Quotas`."""
    hints = get_type_hints(Quotas, include_extras=True)
    rows = (_row(field.name, hints[field.name], field.default) for field in msgspec.structs.fields(Quotas))
    return {row.name: row for row in rows}


def _row(name: str, annotation: object, default: int) -> Quota:
    _, meta = get_args(annotation)
    return Quota(
        name=name.replace("_", "-"), default=default, least=meta.ge, most=meta.le, help=meta.description
    )


def quotas_of(account: Account | None, defaults: Quotas) -> Quotas:
    """The quotas of an account: the defaults, save what was changed for it."""
    if account is None or not account.quotas:
        return defaults
    changed = {name.replace("-", "_"): value for name, value in account.quotas.items() if name in table()}
    return msgspec.structs.replace(defaults, **changed)
