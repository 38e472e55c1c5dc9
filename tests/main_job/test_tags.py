"""Tags through boto3, over a kill of the server."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.main_job.story import ACME, CUSTOMER, OTHER, Story, run

pytestmark = pytest.mark.slow

SOURCE = "aws.partner/acme.com/orders"


async def tags(story: Story, arn: str) -> dict[str, str]:
    found = await run(story.client(CUSTOMER).list_tags_for_resource, ResourceARN=arn)
    return {tag["Key"]: tag["Value"] for tag in found["Tags"]}


async def test_a_partner_bus_and_its_rule_keep_their_tags(story: Story) -> None:
    customer = story.client(CUSTOMER)
    await story.offer(ACME, SOURCE)
    bus = (await run(customer.describe_event_bus, Name=SOURCE))["Arn"]
    red: Any = [{"Key": "team", "Value": "red"}]
    pattern = '{"source": ["aws.partner/acme.com/orders"]}'
    put = await run(customer.put_rule, Name="all", EventBusName=SOURCE, EventPattern=pattern, Tags=red)
    rule = put["RuleArn"]
    await run(customer.tag_resource, ResourceARN=bus, Tags=red)
    await run(customer.tag_resource, ResourceARN=rule, Tags=[{"Key": "tier", "Value": ""}])
    await run(customer.untag_resource, ResourceARN=rule, TagKeys=["team"])

    await story.server.kill()
    await story.server.start()
    assert await tags(story, bus) == {"team": "red"}
    assert await tags(story, rule) == {"tier": ""}
    for arn in (bus, rule):
        with pytest.raises(ClientError, match="AccessDeniedException"):
            await run(story.client(OTHER).list_tags_for_resource, ResourceARN=arn)

    customer = story.client(CUSTOMER)
    await run(customer.delete_rule, Name="all", EventBusName=SOURCE)
    with pytest.raises(customer.exceptions.ResourceNotFoundException):
        await tags(story, rule)
