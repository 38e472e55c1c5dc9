"""What it takes for an event to be delivered to a URL."""

from partnerbus.testing.wire import Wire

CUSTOMER = "111122223333"
OPEN = ("--auth", "none", "--allow-private-targets")


async def deliver_to(url, server_url, rate=300, detail="{}"):
    """Let every event of the customer's default bus go to `url`, and put one."""
    async with Wire(server_url, CUSTOMER) as wire:
        connection = await wire.call(
            "CreateConnection",
            Name="key",
            AuthorizationType="API_KEY",
            AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "value"}},
        )
        destination = await wire.call(
            "CreateApiDestination",
            Name="target",
            ConnectionArn=connection["ConnectionArn"],
            InvocationEndpoint=url,
            HttpMethod="POST",
            InvocationRateLimitPerSecond=rate,
        )
        await wire.call("PutRule", Name="every", EventPattern='{"source":["test"]}')
        put = await wire.call(
            "PutTargets", Rule="every", Targets=[{"Id": "1", "Arn": destination["ApiDestinationArn"]}]
        )
        assert put["FailedEntryCount"] == 0, put
    await put_event(server_url, detail)


async def put_event(server_url, detail="{}"):
    """Put one event that the rule matches."""
    async with Wire(server_url, CUSTOMER) as wire:
        entry = {"Source": "test", "DetailType": "test", "Detail": detail}
        assert (await wire.call("PutEvents", Entries=[entry]))["FailedEntryCount"] == 0
