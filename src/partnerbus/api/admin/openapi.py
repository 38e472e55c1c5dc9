"""The description of the admin face (OpenAPI 3.1), made from its table of routes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, get_type_hints

import msgspec

from partnerbus import __version__
from partnerbus.api.admin.request import AnyRoute, ErrorBody, Request, Route
from partnerbus.api.admin.sight import Sight, ViewRoute

OPENAPI_PATH = "/openapi.json"

SCHEMAS = "#/components/schemas/{name}"

ABOUT = (
    "What AWS has no word for. The operator sends its token; accounts sign with their access key, and see "
    "what is theirs. An answer that is not 200 is a sentence."
)

REFUSALS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)

Schema = dict[str, Any]


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """The description itself."""

    openapi: str
    info: msgspec.Raw
    servers: msgspec.Raw
    paths: msgspec.Raw
    components: msgspec.Raw


def with_description(routes: Sequence[AnyRoute]) -> Sequence[AnyRoute]:
    """The routes, and one that describes them and itself."""

    @cache
    def description() -> Description:
        return describe(every)

    async def show_openapi(_sight: Sight, _request: Request) -> Description:
        """This description."""
        return description()

    every = (*routes, ViewRoute("GET", OPENAPI_PATH, show_openapi))
    return every


def describe(routes: Sequence[AnyRoute]) -> Description:
    """What the routes take and give."""
    kinds = dict.fromkeys((ErrorBody, *(kind for route in routes for kind in _kinds(route))))
    found, components = msgspec.json.schema_components(kinds, ref_template=SCHEMAS)
    schemas = dict(zip(kinds, found, strict=True))
    paths: dict[str, dict[str, Schema]] = {}
    for route in routes:
        operation = _operation(route, schemas, components)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return Description(
        openapi="3.1.0",
        info=_raw({"title": "partnerbus, admin face", "version": __version__, "description": ABOUT}),
        servers=_raw([{"url": "/_partnerbus"}]),
        paths=_raw(paths),
        components=_raw({"schemas": components, "securitySchemes": _security()}),
    )


def _security() -> Schema:
    return {
        "operator": {"type": "http", "scheme": "bearer"},
        "account": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "AWS Signature Version 4, for the service events.",
        },
    }


def _kinds(route: AnyRoute) -> Iterable[type]:
    return (kind for kind in (route.query, route.body, answer_of(route)) if kind is not None)


def answer_of(route: AnyRoute) -> type[msgspec.Struct]:
    """What a route answers, as its handler says."""
    found: type[msgspec.Struct] = get_type_hints(route.handler)["return"]
    return found


def _operation(route: AnyRoute, schemas: Mapping[type, Schema], components: Mapping[str, Schema]) -> Schema:
    error = {"description": "Why not.", "content": _json(schemas[ErrorBody])}
    who: list[Schema] = [{"operator": []}]
    if not isinstance(route, Route):
        who.append({"account": []})
    answer = answer_of(route)
    made: Schema = {
        "operationId": "-".join([route.method.lower(), *re.findall(r"[\w-]+", route.path)]),
        "summary": _first_line(route.handler.__doc__) or _first_line(answer.__doc__) or answer.__name__,
        "security": who,
        "parameters": [
            *(_in_path(name) for name in re.findall(r"\{(\w+)\}", route.path)),
            *_in_query(route, schemas, components),
        ],
        "responses": {
            "200": {"description": "Done.", "content": _json(schemas[answer])},
            **{str(status.value): error for status in REFUSALS},
        },
    }
    if route.body is not None:
        made["requestBody"] = {"required": True, "content": _json(schemas[route.body])}
    return made


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _in_path(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _in_query(
    route: AnyRoute, schemas: Mapping[type, Schema], components: Mapping[str, Schema]
) -> Iterable[Schema]:
    """A parameter for each field: what may be null is what may be left out."""
    if route.query is None:
        return
    schema = components[schemas[route.query]["$ref"].rpartition("/")[2]]
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        yield {"name": name, "in": "query", "required": name in required, "schema": _not_null(field)}


def _not_null(field: Schema) -> Schema:
    given = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
    return given[0] if len(given) == 1 else {key: value for key, value in field.items() if key != "default"}


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
