"""Fixtures for tests of what talks to a partner event bus. Say so in your `conftest.py`:

    pytest_plugins = ["partnerbus.testing.pytest_plugin"]

and a test has a real server, its time, and an HTTP target:

    def test_closed_tickets_arrive(partnerbus_server, partnerbus_client):
        url = partnerbus_server.script("/tickets", Respond(status=503), Respond(status=200))
        ...
        partnerbus_server.advance(timedelta(minutes=5))
        first, second = partnerbus_server.received(2, "/tickets")

Nothing is registered with pytest by itself, so that the plugin loads only where it is asked for.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from partnerbus.testing.bus_in_thread import BusInThread

if TYPE_CHECKING:
    from types_boto3_events import EventBridgeClient

CUSTOMER = "111122223333"
PARTNER = "999988887777"


@pytest.fixture
def partnerbus_server(tmp_path: Path) -> Iterator[BusInThread]:
    """A server of its own for each test, on a free port, without authentication."""
    with BusInThread(tmp_path / "partnerbus") as bus:
        yield bus


@pytest.fixture(scope="session")
def partnerbus_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusInThread]:
    """One server for all tests, and what they leave in it; `partnerbus_clean` takes that away."""
    with BusInThread(tmp_path_factory.mktemp("partnerbus") / "data") as bus:
        yield bus


@pytest.fixture
def partnerbus_clean(partnerbus_session: BusInThread) -> BusInThread:
    """The one server, with nothing of earlier tests in it: quicker than a server for each test."""
    partnerbus_session.reset()
    return partnerbus_session


@pytest.fixture
def partnerbus_client(partnerbus_server: BusInThread) -> "EventBridgeClient":
    """A boto3 `events` client of the customer account 111122223333."""
    return partnerbus_server.client(CUSTOMER)


@pytest.fixture
def partnerbus_partner(partnerbus_server: BusInThread) -> "EventBridgeClient":
    """A boto3 `events` client of the account 999988887777, which may act as every partner."""
    return partnerbus_server.client(PARTNER)
