"""Without authentication: whom a call is believed to come from."""

import pytest
from botocore.credentials import Credentials

from tests.edge.world import REGION, World


async def described(world: World, request) -> tuple[str, str]:
    reply = (await world.ask(request)).json
    return reply["Arn"], reply["Description"]


async def test_without_authentication_anybody_may_call(open_to_all):
    world = open_to_all
    assert await described(world, world.signed()) == ("000000000000", f"{REGION} None True")
    assert await described(world, world.signed().without("Authorization")) == (
        "000000000000",
        f"{REGION} None True",
    )


@pytest.mark.parametrize("presigned", [False, True])
async def test_without_authentication_the_key_names_the_account(open_to_all, presigned):
    request = open_to_all.signed(
        key=Credentials("444455556666", "x", "token"), region="us-west-2", presigned=presigned
    )
    assert await described(open_to_all, request) == ("444455556666", "us-west-2 None True")


async def test_without_authentication_a_region_that_is_none_becomes_the_configured_one(open_to_all):
    request = open_to_all.signed(region="mars")
    assert await described(open_to_all, request) == ("000000000000", f"{REGION} None True")


async def test_without_authentication_web_pages_are_refused(open_to_all):
    reply = await open_to_all.ask(open_to_all.signed().having(Origin="http://evil.example"))
    assert reply.error[1] == "AccessDeniedException"
