"""The examples of docs/targets.md are all accepted as they stand, and there is one for every kind."""

import re
from collections.abc import Iterator
from json import JSONDecoder
from pathlib import Path
from typing import Any

from partnerbus.model.arns import Arn
from partnerbus.model.resources import Webhook
from partnerbus.targets.registry import AWS_KINDS
from tests.api.world import CUSTOMER, PATTERN, REGION, World

OWN_KINDS = {"file", "kafka", "nats", "stdout", "webhook"}
PAGE = Path(__file__).parents[2] / "docs" / "targets.md"


def examples(account: str = CUSTOMER, region: str = REGION) -> Iterator[dict[str, Any]]:
    """The targets of the page, as a rule of `account` in `region` would have them."""
    for block in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL):
        text = (
            block.replace(":R:", f":{region}:").replace(":A:", f":{account}:").replace(".A.", f".{account}.")
        )
        text = text.strip()
        while text:
            target, end = JSONDecoder().raw_decode(text)
            yield target
            text = text[end:].strip()


async def hook(world: World) -> str:
    """The API destination that an example names."""
    auth = {"BasicAuthParameters": {"Username": "u", "Password": "p"}}
    made = await world.customer(
        "CreateConnection", Name="hook", AuthorizationType="BASIC", AuthParameters=auth
    )
    destination = await world.customer(
        "CreateApiDestination",
        Name="hook",
        ConnectionArn=made["ConnectionArn"],
        InvocationEndpoint="https://example.com/",
        HttpMethod="POST",
    )
    arn: str = destination["ApiDestinationArn"]
    return arn


async def webhook(world: World) -> None:
    """The webhook that an example names."""
    now = world.services.clock.now()
    await world.services.catalog.create(
        Webhook(
            account=CUSTOMER,
            region=REGION,
            name="orders",
            url="https://shop.example/hook",
            secrets=(),
            created_at=now,
            modified_at=now,
        )
    )


async def test_every_example_is_accepted(tmp_path: Path) -> None:
    world = await World.open(tmp_path)
    await world.customer("PutRule", Name="r", EventPattern=PATTERN)
    destination = await hook(world)
    await webhook(world)
    for number, target in enumerate(examples()):
        if "…" in target["Arn"]:
            target["Arn"] = destination
        put = {**target, "Id": str(number)}
        answer = await world.customer("PutTargets", Rule="r", Targets=[put])
        assert answer["FailedEntries"] == [], put
        await world.customer("RemoveTargets", Rule="r", Ids=[str(number)])
    await world.close()


def test_every_kind_has_an_example() -> None:
    services = {arn.service for target in examples() if (arn := Arn.parse(target["Arn"])) is not None}
    assert services == {"appsync", "events", "execute-api", "sqs", *OWN_KINDS, *AWS_KINDS}
