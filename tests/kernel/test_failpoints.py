import signal
import subprocess
import sys

import pytest

from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.failpoints import VARIABLE, Failpoint, FailpointError, Failpoints


def test_a_failpoint_without_a_plan_does_nothing() -> None:
    failpoints = Failpoints.from_environment({})
    for point in Failpoint:
        failpoints.hit(point)


def test_it_fails_at_the_time_named_and_only_then() -> None:
    failpoints = Failpoints({Failpoint.ROUTER_MATCHED: "error@2"})
    failpoints.hit(Failpoint.ROUTER_MATCHED)
    failpoints.hit(Failpoint.CLAIM_COMMITTED)
    with pytest.raises(FailpointError, match=r"router\.matched"):
        failpoints.hit(Failpoint.ROUTER_MATCHED)
    failpoints.hit(Failpoint.ROUTER_MATCHED)


def test_kill_is_the_real_thing() -> None:
    script = (
        "from partnerbus.kernel.failpoints import *\n"
        "points = Failpoints.from_environment()\n"
        "for n in range(3):\n    print(n, flush=True)\n    points.hit(Failpoint.APPEND_COMMITTED)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={VARIABLE: "store.append.committed=kill@2"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == -signal.SIGKILL
    assert run.stdout.split() == ["0", "1"]


@pytest.mark.parametrize("value", ["nowhere=kill@1", "router.matched=explode", "router.matched=kill@often"])
def test_a_plan_that_cannot_be_read_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=VARIABLE if "nowhere" in value else "router"):
        Failpoints.from_environment({VARIABLE: value})
