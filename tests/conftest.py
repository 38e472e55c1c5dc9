"""What holds for every test."""

from hypothesis import HealthCheck, settings

# How long an example takes says something of the machine, and nothing of the code.
settings.register_profile(
    "partnerbus", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("partnerbus")
