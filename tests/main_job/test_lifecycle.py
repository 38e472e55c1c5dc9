"""A partner source's whole life, as its partner and its customer see it through boto3."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.main_job.story import ACME, CUSTOMER, OTHER, Story, run

pytestmark = pytest.mark.slow

SOURCE = "aws.partner/acme.com/orders"
ENTRY = {"Source": SOURCE, "DetailType": "order.created", "Detail": '{"n": 1}'}


def entry(number: int) -> dict[str, Any]:
    return ENTRY | {"Detail": f'{{"n": {number}}}'}


async def state_seen_by_both(story: Story) -> tuple[str | None, str | None]:
    """(partner's, customer's) view of the source's state; None if it sees none."""
    customer = await run(story.client(CUSTOMER).list_event_sources, NamePrefix=SOURCE)
    theirs = [source["State"] for source in customer["EventSources"]]
    try:
        partner = await run(story.client(ACME).list_partner_event_source_accounts, EventSourceName=SOURCE)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return None, theirs[0] if theirs else None
    ours = [account["State"] for account in partner["PartnerEventSourceAccounts"]]
    return ours[0] if ours else None, theirs[0] if theirs else None


async def test_the_life_of_a_source(story: Story) -> None:
    partner, customer = story.client(ACME), story.client(CUSTOMER)

    # 1. Offered: PENDING, with an expiry, under an ARN without an account.
    made = await run(partner.create_partner_event_source, Name=SOURCE, Account=CUSTOMER)
    assert made["EventSourceArn"] == f"arn:aws:events:us-east-1::event-source/{SOURCE}"
    assert await state_seen_by_both(story) == ("PENDING", "PENDING")
    seen = await run(customer.describe_event_source, Name=SOURCE)
    assert seen["CreatedBy"] == "acme.com"
    assert seen["ExpirationTime"] > seen["CreationTime"]

    # 2. What is put while it is PENDING is accepted and dropped.
    assert len(await story.put(ACME, entry(0))) == 1

    # 3. The customer takes it: ACTIVE, and what is put arrives.
    await run(customer.create_event_bus, Name=SOURCE, EventSourceName=SOURCE)
    assert await state_seen_by_both(story) == ("ACTIVE", "ACTIVE")
    assert "ExpirationTime" not in await run(customer.describe_event_source, Name=SOURCE)
    await story.rule(SOURCE, "orders", {"source": [SOURCE]}, await story.webhook("orders"))
    [event_id] = await story.put(ACME, entry(1))
    [event] = await story.arrived("orders", 1)
    assert event["id"] == event_id
    assert (event["source"], event["account"]) == (SOURCE, CUSTOMER)
    assert event["detail"] == {"n": 1}

    # 4. Deactivated: accepted and dropped again. Activated: delivered again.
    await run(customer.deactivate_event_source, Name=SOURCE)
    assert await state_seen_by_both(story) == ("PENDING", "PENDING")
    await story.put(ACME, entry(2))
    await run(customer.activate_event_source, Name=SOURCE)
    await story.put(ACME, entry(3))
    assert [event["detail"]["n"] for event in await story.arrived("orders", 2)] == [1, 3]

    # 5. Withdrawn by the partner while ACTIVE: DELETED for the customer, gone for the partner, puts rejected.
    await run(partner.delete_partner_event_source, Name=SOURCE, Account=CUSTOMER)
    assert await state_seen_by_both(story) == (None, "DELETED")
    refused = await run(partner.put_partner_events, Entries=[entry(4)])
    assert refused["FailedEntryCount"] == 1
    assert refused["Entries"][0]["ErrorCode"] == "ResourceNotFoundException"

    # ... offered again: PENDING with the old bus, nothing delivered until the customer activates it.
    await run(partner.create_partner_event_source, Name=SOURCE, Account=CUSTOMER)
    assert await state_seen_by_both(story) == ("PENDING", "PENDING")
    await story.put(ACME, entry(5))
    await run(customer.activate_event_source, Name=SOURCE)
    await story.put(ACME, entry(6))
    assert [event["detail"]["n"] for event in await story.arrived("orders", 3)] == [1, 3, 6]

    # 6. The bus goes only without rules; the source is then PENDING without a bus, with a new expiry.
    with pytest.raises(ClientError, match="ValidationException"):
        await run(customer.delete_event_bus, Name=SOURCE)
    await run(customer.remove_targets, Rule="orders", EventBusName=SOURCE, Ids=["1"])
    await run(customer.delete_rule, Name="orders", EventBusName=SOURCE)
    await run(customer.delete_event_bus, Name=SOURCE)
    assert await state_seen_by_both(story) == ("PENDING", "PENDING")
    again = await run(customer.describe_event_source, Name=SOURCE)
    assert again["ExpirationTime"] > seen["ExpirationTime"]
    with pytest.raises(ClientError, match=f"Event source {SOURCE} or event bus {SOURCE} does not exist"):
        await run(customer.activate_event_source, Name=SOURCE)

    # 7. Withdrawn without a bus: gone for both.
    await run(partner.delete_partner_event_source, Name=SOURCE, Account=CUSTOMER)
    assert await state_seen_by_both(story) == (None, None)


async def test_a_name_in_two_regions_is_two_sources(story: Story) -> None:
    await story.offer(ACME, SOURCE)
    there = story.client(CUSTOMER, "eu-central-1")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        await run(there.describe_event_source, Name=SOURCE)
    made = await run(
        story.client(ACME, "eu-central-1").create_partner_event_source, Name=SOURCE, Account=CUSTOMER
    )
    assert ":eu-central-1:" in made["EventSourceArn"]
    assert (await run(there.describe_event_source, Name=SOURCE))["State"] == "PENDING"
    assert await state_seen_by_both(story) == ("ACTIVE", "ACTIVE")


async def test_accounts_never_see_each_other(story: Story) -> None:
    await story.offer(ACME, SOURCE)
    stranger = story.client(OTHER)
    for call in (stranger.describe_event_source, stranger.activate_event_source):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            await run(call, Name=SOURCE)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        await run(stranger.create_event_bus, Name=SOURCE, EventSourceName=SOURCE)
    assert (await run(stranger.list_event_sources))["EventSources"] == []
    with pytest.raises(ClientError, match="AccessDeniedException"):
        await run(stranger.describe_partner_event_source, Name=SOURCE)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        await run(stranger.list_partner_event_source_accounts, EventSourceName=SOURCE)
    refused = await run(stranger.put_partner_events, Entries=[ENTRY])
    assert refused["FailedEntryCount"] == 1
    with pytest.raises(ClientError, match="AccessDeniedException"):
        await run(story.client(CUSTOMER).put_partner_events, Entries=[ENTRY])
