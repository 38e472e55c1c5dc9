"""Connections whose secrets are kept in Secrets Manager too: moto's, through the whole server and boto3."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.main_job.aws_world import NO_CREDENTIALS, aws_client, moto
from tests.main_job.story import CUSTOMER, begin, run

pytestmark = pytest.mark.slow

BASIC: Any = {"BasicAuthParameters": {"Username": "ann", "Password": "sesame"}}
KEY: Any = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "sesame-key"}}


async def test_a_secret_is_made_changed_and_deleted_with_its_connection(tmp_path: Path) -> None:
    with moto() as url:
        manager = aws_client("secretsmanager", url)

        async def kept(arn: str) -> Any:
            return json.loads((await run(manager.get_secret_value, SecretId=arn))["SecretString"])

        log = tmp_path / "log"
        options = ("--aws-endpoints", f"secretsmanager={url}")
        async with begin(tmp_path / "data", *options, environment=NO_CREDENTIALS, log=log) as story:
            customer = story.client(CUSTOMER)
            await run(
                customer.create_connection, Name="shop", AuthorizationType="BASIC", AuthParameters=BASIC
            )
            found = await run(customer.describe_connection, Name="shop")
            assert found["ConnectionState"] == "AUTHORIZED"
            arn = found["SecretArn"]
            assert await kept(arn) == {"username": "ann", "password": "sesame"}
            [listed] = (await run(manager.list_secrets))["SecretList"]
            assert listed["ARN"] == arn
            assert arn.startswith(arn.partition(":secret:")[0] + f":secret:{listed['Name']}-")
            assert listed["Name"].startswith("events!connection/shop/")

            await run(
                customer.update_connection, Name="shop", AuthorizationType="API_KEY", AuthParameters=KEY
            )
            assert await kept(arn) == {"api_key_name": "X-Key", "api_key_value": "sesame-key"}
            await run(customer.deauthorize_connection, Name="shop")
            assert await kept(arn) == {}

            await story.server.kill()
            await story.server.start()
            customer = story.client(CUSTOMER)
            assert (await run(customer.describe_connection, Name="shop"))["SecretArn"] == arn
            await run(customer.delete_connection, Name="shop")
            with pytest.raises(ClientError, match="ResourceNotFoundException"):
                await kept(arn)
            assert (await run(customer.list_connections))["Connections"] == []
        assert b"sesame" not in log.read_bytes()


async def test_a_secrets_manager_that_is_away_holds_up_no_delivery(tmp_path: Path) -> None:
    options = ("--aws-endpoints", "secretsmanager=http://127.0.0.1:1")
    async with begin(tmp_path / "data", *options, environment=NO_CREDENTIALS) as story:
        customer = story.client(CUSTOMER)
        await story.rule("default", "all", {"source": ["shop"]}, await story.webhook("hook"))
        entries: Any = [{"Source": "shop", "DetailType": "order", "Detail": "{}"}]
        await run(customer.put_events, Entries=entries)
        assert len(await story.arrived("hook", 1)) == 1
        destination = await run(customer.describe_api_destination, Name="hook")
        assert destination["ApiDestinationState"] == "ACTIVE"
