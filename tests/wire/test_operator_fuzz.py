"""Whatever is sent to the admin face gets JSON back, with a sentence if it is refused: never a failure."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partnerbus.api.admin.face import ROUTES
from partnerbus.node.folder import DataFolder
from tests.wire.client import Client, Members
from tests.wire.mutations import TEXTS, bodies
from tests.wire.requests import EVENT, PATTERN, Inside, furnish

pytestmark = pytest.mark.slow

ACCOUNT = "111122223333"
CALM = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "20")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
WHOSE = {"account": ACCOUNT, "region": "us-east-1"}
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"

BODIES: Mapping[tuple[str, str], Members] = {
    ("POST", "/accounts"): {"id": "444455556666", "partner": "acme.com"},
    ("POST", "/accounts/{account}/keys"): {"access_key_id": "ID", "secret_access_key": "secret"},
    ("PUT", "/accounts/{account}/quotas/{name}"): {"value": 5},
    ("POST", "/backtests"): {"bus": "default", "pattern": Inside(PATTERN), "limit": 5, "samples": 2},
    ("POST", "/clock/advance"): {"seconds": 1.5},
    ("PUT", "/connections/{name}/certificate"): {**WHOSE, "certificate": "-----BEGIN", "private_key": "x"},
    ("POST", "/dead-letters/redrive"): {"all": True, "rule": "all", "rate": 50, "to": "second"},
    ("PUT", "/endpoints/{name}/health"): {**WHOSE, "health": "unhealthy"},
    ("POST", "/events/{id}/why"): {"pattern": Inside(PATTERN), **WHOSE},
    ("POST", "/patterns/explain"): {"pattern": Inside(PATTERN), "event": EVENT},
    ("POST", "/sources/share"): {"source": "aws.partner/acme.com/orders", "errors": True},
    ("POST", "/targets/enable"): {"arn": QUEUE, **WHOSE},
    ("POST", "/targets/order"): {"rule": "all", "target": "first", "by": "$.detail.n", **WHOSE},
    ("POST", "/webhooks"): {"name": "hook", "url": "https://example.com/", **WHOSE},
    ("POST", "/webhooks/{name}/rotate"): {"keep_seconds": 60, **WHOSE},
}
"""A body that is nearly good, for routes that take one; others get what an empty one becomes."""

QUERY = (
    "account",
    "region",
    "bus",
    "rule",
    "target",
    "state",
    "after",
    "limit",
    "error",
    "since",
    "before",
    "source",
    "detail_type",
    "pattern",
    "x",
)


class Operator:
    """Somebody with the operator's token."""

    def __init__(self, url: str, data: Path) -> None:
        found = DataFolder(data).read_operator()
        assert found is not None
        self._headers = {"Authorization": f"Bearer {found.token}"}
        self.client = Client(url, ACCOUNT)

    def ask(self, method: str, path: str, body: bytes) -> None:
        """Ask, and judge the answer."""
        reply = self.client.request(method, f"/_partnerbus{path}", body, self._headers)
        assert reply.status in (200, 400, 403, 404, 405, 409, 413, 431), (method, path, body, reply.body)
        answer: Any = reply.json
        assert reply.status == 200 or answer["error"].strip()


@pytest.fixture(scope="module")
def operator(process_url: str, process_data: Path) -> Iterator[Operator]:
    made = Operator(process_url, process_data)
    furnish(made.client)
    yield made
    made.client.close()


TAKE_A_BODY = [(route.method, route.path) for route in ROUTES if route.method in ("POST", "PUT")]


def test_the_bodies_are_for_routes_that_there_are() -> None:
    assert set(BODIES) <= set(TAKE_A_BODY)


@pytest.mark.parametrize(("method", "path"), TAKE_A_BODY)
@CALM
@given(data=st.data())
def test_nearly_good_bodies(operator: Operator, method: str, path: str, data: st.DataObject) -> None:
    named = path.replace("{account}", ACCOUNT).replace("{name}", "key")
    operator.ask(method, named, data.draw(bodies(BODIES.get((method, path), {}))))


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES}))
@CALM
@given(
    method=st.sampled_from(("GET", "GET", "DELETE", "POST", "PUT", "PATCH")),
    names=st.lists(TEXTS, min_size=2, max_size=2),
    query=st.dictionaries(st.sampled_from(QUERY), TEXTS | st.integers().map(str), max_size=3),
)
def test_any_name_and_any_query(
    operator: Operator, path: str, method: str, names: list[str], query: dict[str, str]
) -> None:
    first, second = (quote(name, safe="", errors="surrogatepass") or "x" for name in names)
    for place in ("{account}", "{name}", "{id}", "{log}"):
        path = path.replace(place, first)
    path = path.replace("{key}", second)
    asked = "&".join(f"{name}={quote(value, errors='surrogatepass')}" for name, value in query.items())
    operator.ask(method, f"{path}?{asked}" if asked else path, b"")
