"""What holds for every test."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.effort import USUAL

# Their assertions tell what they saw, whoever imports them first.
pytest.register_assert_rewrite("partnerbus.testing.store_contract", "partnerbus.testing.store_machine")

# How long an example takes says something of the machine, and nothing of the code.
settings.register_profile(
    "partnerbus",
    settings.default,
    max_examples=USUAL,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("fast", settings.get_profile("partnerbus"), max_examples=USUAL // 5)
settings.load_profile("partnerbus")

# No test calls a public server. Reading all of the system's authorities takes 20 ms or more for each of the
# contexts that each node makes; from SSL_CERT_DIR, which stays, they are read one by one when asked for.
os.environ["SSL_CERT_FILE"] = os.devnull

OF_CLUSTERS = {"tests.store.nats_servers", "tests.cluster.nodes"}


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fault tests with a cluster, which is many processes, are marked, so that no other runs beside them."""
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("fault") and _has_cluster(item):
            item.add_marker(pytest.mark.cluster)


def _has_cluster(item: pytest.Function) -> bool:
    return any(getattr(each, "__module__", None) in OF_CLUSTERS for each in vars(item.module).values())
