import re
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from partnerbus.testing.bus_in_thread import BusInThread
from tests.wire.client import Client, Desk


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the module's server."""
    return tmp_path_factory.mktemp("wire") / "data"


@pytest.fixture(scope="module")
def bus(data: Path) -> Iterator[BusInThread]:
    """A server for the tests of a module, each of which calls as an account of its own."""
    with BusInThread(data) as running:
        yield running


@pytest.fixture(scope="module")
def process_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the module's server process."""
    return tmp_path_factory.mktemp("process") / "data"


@pytest.fixture(scope="module")
def process_url(process_data: Path) -> Iterator[str]:
    """A server in a process of its own, for tests that draw at random: a thread would draw with them."""
    options = ["--port", "0", "--auth", "none", "--test-clock", "--data", str(process_data)]
    command = [sys.executable, "-m", "partnerbus", "serve", *options]
    log = process_data.parent / "log"
    with log.open("wb") as errors, Popen(command, stdout=PIPE, stderr=errors) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[^\s,]+", process.stdout.readline().decode())
            assert found is not None
            yield found.group()
        finally:
            process.terminate()
        assert process.wait() == 0


@pytest.fixture(scope="module")
def accounts() -> Iterator[str]:
    """Account ids that nobody had before."""
    return (f"{number:012}" for number in range(100_000_000_000, 200_000_000_000))


@pytest.fixture
def client(bus: BusInThread, accounts: Iterator[str]) -> Iterator[Client]:
    with Client(bus.url, next(accounts)) as made:
        yield made


@pytest.fixture
def desk(bus: BusInThread, data: Path) -> Iterator[Desk]:
    made = Desk(data)
    yield made
    made.close()
