"""Connections: how API destinations are authorized. What is secret is typed in, and shown on no page."""

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from partnerbus.api.admin.destinations import ConnectionList, ConnectionView
from partnerbus.api.v1.connections import ChangeOutput, CreateOutput, DescribeOutput
from partnerbus.console.door import Screen
from partnerbus.console.forms import Form
from partnerbus.console.refusal import Refused
from partnerbus.console.visit import Visit
from partnerbus.model.resources import AuthorizationType, ConnectionState

PAGE = 200
SHOWN = ("name", "user", "url", "method", "scope", "description", "account")
"""The fields of the form that are shown again when it is refused."""

V = TypeVar("V", bound=msgspec.Struct)


async def list_connections(visit: Visit) -> Response:
    after = visit.request.query_params.get("after")
    found = await visit.ask("/connections", ConnectionList, limit=PAGE, after=after)
    return visit.page("connections.html", connections=found.connections, following=found.next)


async def new_connection(visit: Visit) -> Response:
    return _form(visit, _kind(visit.request.query_params.get("type")), dict.fromkeys(SHOWN, ""))


async def create_connection(visit: Visit) -> Response:
    form = visit.form
    kind = _kind(form.text("type"))
    members = {
        "Name": form.text("name"),
        "AuthorizationType": kind.value,
        "AuthParameters": _authorization(visit, kind),
        "Description": form.maybe("description"),
    }
    try:
        made = await visit.call("CreateConnection", members, CreateOutput, account=form.maybe("account"))
    except Refused as refused:
        return _form(visit, kind, {name: form.text(name) for name in SHOWN}, refused)
    return visit.go(page_of(made.connection_arn), f"The connection {form.text('name')} is made.")


async def show_connection(visit: Visit) -> Response:
    return await _page(visit, await _found(visit, visit.request.query_params.get("arn", "")))


async def change_connection(visit: Visit) -> Response:
    """What the buttons of a connection's page do: save, deauthorize, delete."""
    form = visit.form
    found = await _found(visit, form.text("connection"))
    match form.text("do"):
        case "save":
            return await _save(visit, found)
        case "deauthorize":
            await _call(visit, "DeauthorizeConnection", found, ChangeOutput)
            return visit.go(page_of(found.arn), f"{found.name} is deauthorized: its secret is forgotten.")
        case "delete":
            await _call(visit, "DeleteConnection", found, ChangeOutput)
            return visit.go("/console/targets/connections", f"The connection {found.name} is deleted.")
    raise Refused(400, "There is no such button.")


async def _save(visit: Visit, found: ConnectionView) -> Response:
    kind = _kind(visit.form.text("type"))
    described = await _call(visit, "DescribeConnection", found, DescribeOutput)
    try:
        await _call(visit, "UpdateConnection", found, ChangeOutput, _changes(visit, kind, described))
    except Refused as refused:
        return await _page(visit, found, kind, refused)
    return visit.go(page_of(found.arn), f"The connection {found.name} is changed.")


def _changes(visit: Visit, kind: AuthorizationType, described: DescribeOutput) -> Mapping[str, object]:
    """The members that the form has in another way than the connection.

    An authorization that is given is tried anew, and nothing is sent meanwhile: the one that is set and works
    is not given again.
    """
    text = visit.form.text("description")
    description = {"Description": text if text != (described.description or "") else None}
    if described.connection_state == ConnectionState.AUTHORIZED and _is_set(visit.form, kind, described):
        return description
    return description | {
        "AuthorizationType": kind.value,
        "AuthParameters": _authorization(visit, kind),
    }


def _is_set(form: Form, kind: AuthorizationType, described: DescribeOutput) -> bool:
    """Whether a form asks for the authorization that the connection has. What is left empty stays."""
    before = _authorization_of(described)
    given = form.given("secret", "scope", *before)
    return kind == described.authorization_type and all(before.get(key) == given[key] for key in given)


def _form(
    visit: Visit, kind: AuthorizationType, given: Mapping[str, str], refused: Refused | None = None
) -> Response:
    return visit.page(
        "connection_new.html",
        refused.status if refused is not None else 200,
        kind=kind.value,
        given=given,
        refusal=refused.sentence if refused is not None else None,
    )


async def _page(
    visit: Visit,
    found: ConnectionView,
    kind: AuthorizationType | None = None,
    refused: Refused | None = None,
) -> Response:
    described = await _call(visit, "DescribeConnection", found, DescribeOutput)
    return visit.page(
        "connection.html",
        refused.status if refused is not None else 200,
        found=found,
        auth=described.auth_parameters,
        given=_shown(visit, described),
        kind=(kind or _kind(visit.request.query_params.get("type"), found.authorization)).value,
        refusal=refused.sentence if refused is not None else None,
    )


def _shown(visit: Visit, described: DescribeOutput) -> Mapping[str, str]:
    """What stands in the form at first: what is set; or what was typed in, once a form was refused."""
    if visit.form.text("do"):
        return {name: visit.form.text(name) for name in SHOWN}
    given = dict.fromkeys(SHOWN, "") | {"description": described.description or ""}
    if visit.request.query_params.get("type", described.authorization_type) != described.authorization_type:
        return given
    return given | _authorization_of(described)


def _authorization_of(described: DescribeOutput) -> dict[str, str]:
    """What is set of the authorization, by the names of the form's fields."""
    basic, key, oauth = (
        described.auth_parameters.basic_auth_parameters,
        described.auth_parameters.api_key_auth_parameters,
        described.auth_parameters.o_auth_parameters,
    )
    if basic is not None:
        return {"user": basic.username or ""}
    if key is not None:
        return {"user": key.api_key_name or ""}
    if oauth is not None and oauth.client_parameters is not None:
        return {
            "user": oauth.client_parameters.client_id or "",
            "url": oauth.authorization_endpoint or "",
            "method": oauth.http_method or "",
        }
    return {}


def _authorization(visit: Visit, kind: AuthorizationType) -> Mapping[str, object]:
    """What was typed in, as the wire API takes it. What was left empty is left out: an update keeps it."""
    form = visit.form
    if kind is AuthorizationType.BASIC:
        return {"BasicAuthParameters": _given(Username=form.text("user"), Password=form.text("secret"))}
    if kind is AuthorizationType.API_KEY:
        return {"ApiKeyAuthParameters": _given(ApiKeyName=form.text("user"), ApiKeyValue=form.text("secret"))}
    scope = form.text("scope")
    return {
        "OAuthParameters": _given(
            ClientParameters=_given(ClientID=form.text("user"), ClientSecret=form.text("secret")),
            AuthorizationEndpoint=form.text("url"),
            HttpMethod=form.text("method"),
            OAuthHttpParameters={"BodyParameters": [{"Key": "scope", "Value": scope}]} if scope else None,
        )
    }


def _given(**members: object) -> Mapping[str, object]:
    return {name: value for name, value in members.items() if value}


def _kind(text: str | None, otherwise: AuthorizationType = AuthorizationType.API_KEY) -> AuthorizationType:
    return next((each for each in AuthorizationType if each.value == text), otherwise)


async def _found(visit: Visit, arn: str) -> ConnectionView:
    found = (await visit.ask("/connections", ConnectionList, arn=arn)).connections
    if not found:
        raise Refused(404, "There is no such connection.")
    return found[0]


async def _call(
    visit: Visit,
    operation: str,
    found: ConnectionView,
    kind: type[V],
    members: Mapping[str, object] | None = None,
) -> V:
    return await visit.call(
        operation,
        {"Name": found.name, **(members or {})},
        kind,
        account=found.account,
        region=found.region,
    )


def page_of(arn: str) -> str:
    return f"/console/targets/connections/connection?arn={quote(arn, safe='')}"


SCREENS = (
    Screen("GET", "/targets/connections", list_connections),
    Screen("GET", "/targets/connections/new", new_connection),
    Screen("POST", "/targets/connections/new", create_connection),
    Screen("GET", "/targets/connections/connection", show_connection),
    Screen("POST", "/targets/connections/connection", change_connection),
)
