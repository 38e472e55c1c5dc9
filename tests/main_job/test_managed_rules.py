"""The managed rule of an archive, through boto3: everybody sees it, and only Force removes it."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.main_job.story import CUSTOMER, Story, run

pytestmark = pytest.mark.slow

NAME = "Events-Archive-orders"
QUEUE = "arn:aws:sqs:us-east-1:111122223333:orders"


async def test_its_users_do_not_change_it(story: Story) -> None:
    customer = story.client(CUSTOMER)
    bus = (await run(customer.describe_event_bus))["Arn"]
    await run(customer.create_archive, ArchiveName="orders", EventSourceArn=bus)
    rule = await run(customer.describe_rule, Name=NAME)
    assert rule["ManagedBy"]
    targets: Any = [{"Id": "1", "Arn": QUEUE}]
    for call, members in (
        (customer.put_rule, {"Name": NAME, "EventPattern": '{"source": ["shop"]}'}),
        (customer.enable_rule, {"Name": NAME}),
        (customer.disable_rule, {"Name": NAME}),
        (customer.put_targets, {"Rule": NAME, "Targets": targets}),
        (customer.remove_targets, {"Rule": NAME, "Ids": ["1"]}),
        (customer.tag_resource, {"ResourceARN": rule["Arn"], "Tags": [{"Key": "a", "Value": "b"}]}),
        (customer.untag_resource, {"ResourceARN": rule["Arn"], "TagKeys": ["a"]}),
        (customer.delete_rule, {"Name": NAME}),
    ):
        with pytest.raises(ClientError) as refused:
            await run(call, **members)
        assert refused.value.response["Error"]["Code"] == "ManagedRuleException"
    unchanged = await run(customer.describe_rule, Name=NAME)
    assert unchanged | {"ResponseMetadata": None} == rule | {"ResponseMetadata": None}

    await run(customer.delete_rule, Name=NAME, Force=True)
    with pytest.raises(customer.exceptions.ResourceNotFoundException):
        await run(customer.describe_rule, Name=NAME)
