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
