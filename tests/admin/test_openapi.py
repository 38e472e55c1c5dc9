"""The description of the admin face: it has every route, and a real server keeps to it."""

import json
from typing import Any

from partnerbus.api.admin.face import ROUTES
from tests.admin.world import ANN, Desk


async def described(desk: Desk) -> Any:
    return json.loads((await desk.ask("/openapi.json", ANN)).body)


async def test_every_route_is_described_once(desk: Desk) -> None:
    found = await described(desk)
    paths = {(method.upper(), path) for path, item in found["paths"].items() for method in item}
    assert paths == {(route.method, route.path) for route in ROUTES}
    ids = [operation["operationId"] for item in found["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))
    assert found["openapi"] == "3.1.0"


async def test_what_is_referred_to_is_there_and_only_what_must_be_is_required(desk: Desk) -> None:
    found = await described(desk)
    text = json.dumps(found)
    schemas = found["components"]["schemas"]
    for part in text.split('"$ref": "#/components/schemas/')[1:]:
        assert part.partition('"')[0] in schemas
    why = found["paths"]["/events/{id}/why"]["get"]
    required = {each["name"] for each in why["parameters"] if each["required"]}
    assert required == {"id", "rule"}
    assert why["security"] == [{"operator": []}, {"account": []}]
    assert found["paths"]["/accounts"]["get"]["security"] == [{"operator": []}]
