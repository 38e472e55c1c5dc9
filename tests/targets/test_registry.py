"""Which invoker serves which ARN, and what is refused when a target is put."""

import msgspec
import pytest

from partnerbus.kernel.clock import SystemClock
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.target_parameters import AppSyncParameters
from partnerbus.targets.aws import FOREIGN
from partnerbus.targets.dead_letter import DeadLetterNote
from partnerbus.targets.kafka_topic import KafkaSettings
from partnerbus.targets.nats_subject import NatsSettings
from partnerbus.targets.registry import ANOTHER_REGION, NO_SUCH_KIND, Targets, TargetSettings, make_targets
from partnerbus.testing.receiver import Receiver
from tests.targets.things import (
    ACCOUNT,
    SECRETS,
    Resources,
    a_bus,
    a_connection,
    a_destination,
    a_rule,
    a_target,
    a_webhook,
    a_webhook_secret,
    an_event,
    an_invocation,
)


async def _forward(invocation, bus) -> None:
    raise AssertionError


def targets_of(*resources, allow_private: bool = False, aws_endpoint_url: str | None = None) -> Targets:
    settings = TargetSettings(allow_private=allow_private, aws_endpoint_url=aws_endpoint_url)
    return make_targets(settings, Resources(*resources), SECRETS, SystemClock(), _forward)


@pytest.mark.parametrize(
    ("arn", "kind"),
    [
        ("arn:aws:events:us-east-1:1:api-destination/d/u", "http"),
        ("arn:aws:events:us-east-1:1:event-bus/b", "bus"),
        ("arn:aws:sqs:us-east-1:123456789012:q", "sqs"),
        ("arn:aws-cn:sqs:cn-north-1:1:q", "sqs"),
        ("arn:aws:appsync:us-east-1:1:endpoints/graphql-api/a", "appsync"),
        ("arn:aws:execute-api:us-east-1:1:a/prod/GET/", "execute-api"),
        ("arn:aws:lambda:us-east-1:1:function:f", "lambda"),
        ("arn:aws:redshift-serverless:us-east-1:1:workgroup/w", "redshift-data"),
        ("arn:aws:states:us-east-1:1:stateMachine:m", "stepfunctions"),
        ("arn:partnerbus:webhook:us-east-1:1:w", "webhook"),
        ("arn:partnerbus:nats:us-east-1:1:s", "nats"),
        ("arn:partnerbus:file:us-east-1:1:f", "file"),
        ("arn:partnerbus:stdout:us-east-1:1:s", "stdout"),
    ],
)
def test_kinds(arn: str, kind: str):
    invoker = targets_of().invoker(arn)
    assert invoker is not None
    assert invoker.kind == kind


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:dynamodb:us-east-1:1:table/t",
        "arn:aws:events:us-east-1:1:rule/r",
        "arn:aws:events:us-east-1:1:connection/c/u",
        "arn:partnerbus:sqs:us-east-1:123456789012:q",
        "arn:aws:webhook:us-east-1:123456789012:w",
        "arn:awss:sqs:us-east-1:123456789012:q",
    ],
)
def test_unknown_kinds_are_refused(arn: str):
    assert targets_of().invoker(arn) is None
    assert targets_of().refusal(a_target(arn), a_rule()) == NO_SUCH_KIND


def test_what_is_no_arn():
    assert targets_of().refusal(a_target("queue"), a_rule()) == "The target's ARN is not valid."


def test_only_buses_may_be_in_another_region():
    there = a_bus(region="eu-west-1")
    assert targets_of(there).refusal(a_target(there.arn), a_rule()) is None
    for arn in ("arn:aws:sqs:{}:123456789012:q", "arn:aws:lambda:{}:123456789012:function:f"):
        here, away = (a_target(arn.format(region)) for region in ("us-east-1", "eu-west-1"))
        assert targets_of().refusal(here, a_rule()) is None
        assert targets_of().refusal(away, a_rule()) == ANOTHER_REGION.format("eu-west-1", "us-east-1")


def test_a_dead_letter_queue_is_in_the_region_of_its_rule():
    def refusal(region: str) -> str | None:
        letters = f"arn:aws:sqs:{region}:123456789012:dead"
        target = a_target("arn:aws:sqs:us-east-1:123456789012:q")
        return targets_of().refusal(msgspec.structs.replace(target, dead_letter_arn=letters), a_rule())

    assert refusal("us-east-1") is None
    assert refusal("eu-west-1") == "The dead-letter queue is in another region than the rule."


def test_the_invoker_s_own_refusal_is_asked():
    assert targets_of().refusal(a_target("arn:aws:sqs:us-east-1:123456789012:q.fifo"), a_rule()) is not None
    assert targets_of().refusal(a_target("arn:aws:sqs:us-east-1:123456789012:q"), a_rule()) is None
    assert targets_of(a_bus()).refusal(a_target(a_bus().arn), a_rule()) is None


def test_a_dead_letter_queue_is_judged_too():
    target = msgspec.structs.replace(
        a_target(a_bus().arn), dead_letter_arn="arn:aws:sqs:us-east-1:123456789012:q.fifo"
    )
    assert targets_of().refusal(target, a_rule()) is not None


async def test_urls():
    assert await targets_of().url_refusal("http://127.0.0.1:1/") is not None
    assert await targets_of(allow_private=True).url_refusal("http://127.0.0.1:1/") is None


async def test_an_operator_s_choice_reaches_the_socket(receiver: Receiver):
    connection = a_connection(secret="key")
    destination = a_destination(receiver.url, connection=connection)
    replies: list[Reply] = []
    for allow_private in (False, True):
        targets = targets_of(destination, connection, allow_private=allow_private)
        invoker = targets.invoker(destination.arn)
        assert invoker is not None
        replies.append(await invoker.invoke(an_invocation(a_target(destination.arn))))
        await targets.close()
    assert [reply.accepted for reply in replies] == [False, True]
    assert receiver.connections == 1


def test_the_node_s_own_credentials_are_lent_to_the_queue_s_account_only():
    foreign, mine = "arn:aws:sqs:us-east-1:999988887777:q", "arn:aws:sqs:us-east-1:123456789012:q"
    at_aws, emulated = targets_of(), targets_of(aws_endpoint_url="http://127.0.0.1:1")
    for target in (a_target(foreign), msgspec.structs.replace(a_target(mine), dead_letter_arn=foreign)):
        assert at_aws.refusal(target, a_rule()) == FOREIGN
        assert emulated.refusal(target, a_rule()) is None


QUEUE = "arn:aws:sqs:us-east-1:{}:q"
CREATOR, BUS_OWNER = ACCOUNT, "999988887777"

OF_EACH_KIND = (
    "arn:aws:appsync:us-east-1:{}:endpoints/graphql-api/a",
    "arn:aws:events:us-east-1:{}:event-bus/other",
    "arn:aws:execute-api:us-east-1:{}:a/prod/GET/",
    "arn:aws:lambda:us-east-1:{}:function:f",
    "arn:aws:sns:us-east-1:{}:t",
    QUEUE,
    "arn:partnerbus:kafka:us-east-1:{}:partnerbus.123456789012.s",
    "arn:partnerbus:nats:us-east-1:{}:partnerbus.123456789012.s",
    "arn:partnerbus:stdout:us-east-1:{}:s",
)


def test_the_targets_of_a_rule_are_those_of_whoever_made_it():
    """Of the account whose bus it stands on they are not: that one lends it nothing."""
    webhook = a_webhook("https://1.1.1.1/", a_webhook_secret("whsec_MTIz"))
    destination = a_destination("https://1.1.1.1/")
    nats, kafka = NatsSettings(servers=("nats://127.0.0.1:1",)), KafkaSettings(servers=("127.0.0.1:1",))
    settings = TargetSettings(stdout=True, nats=nats, kafka=kafka)
    targets = make_targets(settings, Resources(webhook, destination), SECRETS, SystemClock(), _forward)
    theirs, ours = a_rule(BUS_OWNER, CREATOR), a_rule(CREATOR, BUS_OWNER)
    query = AppSyncParameters(graph_ql_operation="query { a }")
    for arn in (webhook.arn, destination.arn, *(arn.format(CREATOR) for arn in OF_EACH_KIND)):
        target = msgspec.structs.replace(a_target(arn), app_sync=query)
        assert targets.refusal(target, theirs) is None, arn
        assert targets.refusal(target, ours) is not None, arn
    letters = msgspec.structs.replace(a_target(webhook.arn), dead_letter_arn=QUEUE.format(CREATOR))
    assert targets.refusal(letters, theirs) is None
    assert targets.refusal(letters, ours) == FOREIGN


async def test_a_rule_s_bus_does_not_open_what_only_its_owner_reaches():
    """The account whose bus it is may not be reached by a rule that another one made there."""
    theirs = a_rule(BUS_OWNER, CREATOR)
    bus = a_bus(account=BUS_OWNER)
    for arn in (bus.arn, QUEUE.format(BUS_OWNER), f"arn:aws:lambda:us-east-1:{BUS_OWNER}:function:f"):
        targets = targets_of(bus)
        invoker = targets.invoker(arn)
        assert invoker is not None
        reply = await invoker.invoke(msgspec.structs.replace(an_invocation(a_target(arn)), rule=theirs))
        assert (reply.error, reply.retryable) == (ErrorCode.NO_PERMISSIONS, False)
        await targets.close()


async def test_another_account_s_queue_is_not_sent_to_either():
    foreign = "arn:aws:sqs:us-east-1:999988887777:q"
    targets = targets_of()
    invoker = targets.invoker(foreign)
    assert invoker is not None
    note = DeadLetterNote(
        event=an_event(),
        account=a_rule().created_by,
        rule_arn=a_rule().arn,
        target_arn="arn:target",
        error=ErrorCode.TIMEOUT,
    )
    for reply in (
        await invoker.invoke(an_invocation(a_target(foreign))),
        await targets.dead_letter_queue.send(foreign, note),
    ):
        assert (reply.error, reply.retryable) == (ErrorCode.NO_PERMISSIONS, False)
    await targets.close()
