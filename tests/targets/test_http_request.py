"""Requests of a target are made once where they can be, and anew whenever what they are made of changes."""

import msgspec
import pytest

from partnerbus.model.resources import ConnectionParameter, HttpParameters, ParameterPlace
from partnerbus.targets import http_request
from partnerbus.targets.http_request import RequestParts, Requests
from tests.targets.things import an_event

PARTS = RequestParts(method="POST", url="http://a.example/", target=HttpParameters(headers={"X-A": "1"}))
EVENT = an_event(b'{"id":"e-first"}')


def test_only_the_body_is_another_for_another_event():
    requests = Requests()
    first, second = (requests.make("s", PARTS, body, EVENT) for body in (b"1", b"2"))
    assert (first.body, second.body) == (b"1", b"2")
    assert second.headers is first.headers


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "PUT"},
        {"url": "http://b.example/"},
        {"target": HttpParameters(headers={"X-A": "2"})},
        {"target": HttpParameters(query={"a": "b"})},
        {"authorization": ("Authorization", "Bearer 2")},
        {"parameters": (ConnectionParameter(place=ParameterPlace.HEADER, name="X-B", value="1"),)},
    ],
)
def test_what_changed_shows(changed: dict[str, object]):
    requests = Requests()
    first = requests.make("s", PARTS, b"{}", EVENT)
    second = requests.make("s", msgspec.structs.replace(PARTS, **changed), b"{}", EVENT)
    again = requests.make("s", PARTS, b"{}", EVENT)
    assert second != first == again


@pytest.mark.parametrize(
    "parts",
    [
        {"target": HttpParameters(headers={"X-Id": "$.detail.id"})},
        {"target": HttpParameters(query={"id": "$.detail.id"})},
        {"url": "http://a.example/*", "target": HttpParameters(path_values=("$.detail.id",))},
    ],
)
def test_what_comes_from_the_event_is_that_event_s(parts: dict[str, object]):
    requests, dynamic = Requests(), msgspec.structs.replace(PARTS, **parts)
    first = requests.make("s", dynamic, b"{}", EVENT)
    second = requests.make("s", dynamic, b"{}", an_event(b'{"id":"e-second"}'))
    assert "e-first" in repr(first)
    assert "e-first" not in repr(second)
    assert "e-second" in repr(second)


def test_the_connection_s_members_are_in_every_body():
    member = ConnectionParameter(place=ParameterPlace.BODY, name="m", value="v")
    requests, parts = Requests(), msgspec.structs.replace(PARTS, parameters=(member,))
    bodies = [requests.make("s", parts, b'{"n":%d}' % n, EVENT).body for n in (1, 2)]
    assert bodies == [b'{"n":1,"m":"v"}', b'{"n":2,"m":"v"}']


def test_requests_are_remembered_but_not_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_request, "REQUESTS_REMEMBERED", 1)
    requests = Requests()
    first = requests.make("one", PARTS, b"{}", EVENT)
    requests.make("two", PARTS, b"{}", EVENT)
    assert requests.make("one", PARTS, b"{}", EVENT).headers is not first.headers
