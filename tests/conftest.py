"""What holds for every test."""

import pytest
from hypothesis import HealthCheck, settings

# Their assertions tell what they saw, whoever imports them first.
pytest.register_assert_rewrite("partnerbus.testing.store_contract", "partnerbus.testing.store_machine")

# How long an example takes says something of the machine, and nothing of the code.
settings.register_profile(
    "partnerbus", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("partnerbus")
