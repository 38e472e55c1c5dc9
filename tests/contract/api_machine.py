"""Any calls in any order, right and wrong, at a whole node: it answers as the model allows and logs no error.

    .venv/bin/python -m tests.contract.api_machine 1000

plays 1,000 random runs and says how often each operation was answered how.
"""

import asyncio
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from unittest.mock import patch

import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from partnerbus.api.contract import load_contract
from partnerbus.api.v1.operations import OPERATIONS
from partnerbus.api.validation import check_output
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.telemetry import make_log
from partnerbus.node.node import Node
from partnerbus.node.settings import AuthMode, Settings
from partnerbus.testing.receiver import Receiver
from partnerbus.testing.wire import Wire, WireError
from tests.api.world import COMMON_ERRORS, RECORDED_ERRORS, RECORDED_VALUES
from tests.contract.plausible import OTHER_REGION, SOURCE, Pool, broken, plausible

T = TypeVar("T")
Members: TypeAlias = dict[str, object]

REGION = "eu-central-1"
ACCOUNTS = ("111111111111", "222222222222")
CONTRACT = load_contract()
POSSIBLE_ERRORS = COMMON_ERRORS - {"InternalException"}
EVERYTHING = '{"source":[{"prefix":""}]}'
CALLERS = st.sampled_from((ACCOUNTS[0],) * 7 + (ACCOUNTS[1],))
PAGES = 50
STEPS = 6
CALLS_BETWEEN = 6
"""So many calls at least lie between two steps of another kind, which take longer and find less."""

CALLS = st.lists(
    st.tuples(st.sampled_from(sorted(OPERATIONS)), st.sampled_from((True, True, True, True, False))),
    min_size=6,
    max_size=10,
    unique_by=lambda call: call[0],
)
"""Operations, and whether they are called rightly. Different ones, or the simplest would be most of them."""

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true"}
"""For AWS targets, which are nowhere here; botocore shall not look around for others."""

answered: Counter[tuple[str, str]] = Counter()
"""How often each operation was answered how, over all runs of this process: a code, or `ok`."""


class ApiMachine(RuleBasedStateMachine):
    """Two accounts that call operations, each as every partner, while time passes and the node restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="partnerbus-machine-"))
        self.clock = ManualClock()
        self.calls = self.days = 0
        self.errors = structlog.testing.LogCapture()
        self.world, self.life = AsyncExitStack(), AsyncExitStack()
        self.run_async(self.begin())

    def run_async(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def begin(self) -> None:
        receiver = await self.world.enter_async_context(Receiver())
        self.url = f"{receiver.url}/a"
        self.pool = Pool(REGION, ACCOUNTS, receiver.url)
        await self.start()

    async def start(self) -> None:
        places = Settings(
            data=self.folder,
            port=0,
            auth=AuthMode.NONE,
            allow_private_targets=True,
            aws_endpoint_url="http://127.0.0.1:1",
        )
        log = structlog.wrap_logger(None, [self.errors], type(make_log("error").bind()))
        self.node = await self.life.enter_async_context(Node(places, clock=self.clock, log=log))
        self.callers = {
            account: await self.life.enter_async_context(Wire(self.node.url, account, REGION))
            for account in ACCOUNTS
        }

    # -- steps -----------------------------------------------------------------------------------------

    @initialize()
    def a_customer_who_has_one_of_each(self) -> None:
        """Where most stories begin; random calls would come there only now and then."""
        account = ACCOUNTS[0]
        self.ok(account, "CreatePartnerEventSource", Name=SOURCE, Account=account)
        self.ok(account, "CreateEventBus", Name=SOURCE, EventSourceName=SOURCE)
        for bus in (SOURCE, "default"):
            self.ok(account, "PutRule", Name="a", EventBusName=bus, EventPattern=EVERYTHING)
        basic = {"BasicAuthParameters": {"Username": "u", "Password": "p"}}
        connection = self.ok(
            account, "CreateConnection", Name="a", AuthorizationType="BASIC", AuthParameters=basic
        )
        destination = self.ok(
            account,
            "CreateApiDestination",
            Name="a",
            ConnectionArn=connection["ConnectionArn"],
            InvocationEndpoint=self.url,
            HttpMethod="POST",
        )
        target = {"Id": "a", "Arn": destination["ApiDestinationArn"]}
        self.ok(account, "PutTargets", Rule="a", Targets=[target])
        buses = [f"arn:aws:events:{region}:{account}:event-bus/default" for region in (REGION, OTHER_REGION)]
        archive = self.ok(account, "CreateArchive", ArchiveName="a", EventSourceArn=buses[0])
        entry = {"Source": "shop", "DetailType": "order", "Detail": "{}"}
        self.ok(account, "PutEvents", Entries=[entry] * 10)
        self.run_async(self.node.idle())
        self.ok(
            account,
            "StartReplay",
            ReplayName="a",
            EventSourceArn=archive["ArchiveArn"],
            EventStartTime=0,
            EventEndTime=self.clock.now().timestamp() + 1,
            Destination={"Arn": buses[0]},
        )
        self.ok(
            account,
            "CreateEndpoint",
            Name="a",
            RoutingConfig=failover("arn:aws:route53:::healthcheck/h", OTHER_REGION),
            EventBuses=[{"EventBusArn": bus} for bus in buses],
            RoleArn=f"arn:aws:iam::{account}:role/r",
        )
        self.ok(account, "DescribeEndpoint", Name="a")

    @rule(data=st.data(), account=CALLERS, calls=CALLS)
    def call(self, data: st.DataObject, account: str, calls: list[tuple[str, bool]]) -> None:
        for operation, rightly in calls:
            self.calls += 1
            shape = CONTRACT[operation].input
            members = data.draw(plausible(shape, self.pool), label=operation)
            wrong = None if rightly else data.draw(broken(shape, members), label="wrong")
            if wrong is None:
                self.follow(account, operation, members, self.answer(account, operation, members))
            else:
                assert self.answer(account, operation, wrong.value) == wrong.code

    def follow(self, account: str, operation: str, members: Members, answer: Members | str) -> None:
        """A token that was just given leads on, and the pages end."""
        for _ in range(PAGES):
            if not isinstance(answer, dict) or "NextToken" not in answer:
                return
            answer = self.answer(account, operation, members | {"NextToken": answer["NextToken"]})
            assert isinstance(answer, dict), answer
        raise AssertionError(f"the pages of {operation} do not end")

    @precondition(lambda self: self.calls >= CALLS_BETWEEN)
    @rule(minutes=st.sampled_from([1, 90]))
    def time_passes(self, minutes: int) -> None:
        self.calls = 0
        self.run_async(self.clock.advance(timedelta(minutes=minutes), self.node.idle))

    @precondition(lambda self: self.calls >= 4 * CALLS_BETWEEN and self.days == 0)
    @rule()
    def a_day_passes(self) -> None:
        self.days += 1
        self.time_passes(25 * 60)

    @precondition(lambda self: self.calls >= CALLS_BETWEEN)
    @rule()
    def restart(self) -> None:
        self.calls = 0
        self.run_async(self.life.aclose())
        self.run_async(self.start())

    @invariant()
    def nothing_went_wrong_inside(self) -> None:
        self.run_async(self.node.idle())
        assert self.errors.entries == []

    def teardown(self) -> None:
        self.run_async(self.life.aclose())
        self.run_async(self.world.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)

    # -- calls -----------------------------------------------------------------------------------------

    def ok(self, account: str, operation: str, **members: object) -> Members:
        answer = self.answer(account, operation, members)
        assert isinstance(answer, dict), answer
        return answer

    def answer(self, account: str, operation: str, members: Members) -> Members | str:
        """The members of the answer, or the code of the refusal; both must be what the model allows."""
        contract = CONTRACT[operation]
        answer = self.run_async(_asked(self.callers[account], operation, members))
        answered[operation, answer.code if isinstance(answer, WireError) else "ok"] += 1
        if isinstance(answer, WireError):
            possible = contract.errors | POSSIBLE_ERRORS | RECORDED_ERRORS.get(operation, set())
            assert answer.code in possible - {"InternalException"}, f"{operation} answers {answer}"
            return answer.code
        wrong = [
            fault
            for fault in check_output(contract, answer)
            if not any(recorded in fault for recorded in RECORDED_VALUES)
        ]
        assert not wrong, wrong
        self.pool.learn(answer)
        return answer


def failover(check: str, route: str) -> Members:
    return {"FailoverConfig": {"Primary": {"HealthCheck": check}, "Secondary": {"Route": route}}}


async def _asked(caller: Wire, operation: str, members: Members) -> Members | WireError:
    try:
        return await caller.call(operation, **members)
    except WireError as error:
        return error


def play(runs: int, *, again: bool) -> None:
    """So many runs; the same ones every time if `again`."""
    options = settings(
        max_examples=runs,
        stateful_step_count=STEPS,
        derandomize=again,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with patch.dict(os.environ, CREDENTIALS):
        run_state_machine_as_test(ApiMachine, settings=options)


def report() -> str:
    lines = []
    for operation in sorted(CONTRACT):
        told = {code: count for (name, code), count in answered.items() if name == operation}
        lines.append(f"{operation:32}" + ", ".join(f"{code} {told[code]}" for code in sorted(told)))
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        play(int(sys.argv[1]), again=False)
    finally:
        print(report())  # noqa: T201
