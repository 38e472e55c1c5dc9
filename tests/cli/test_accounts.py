"""`partnerbus account`, with a server and without one."""

import asyncio
import stat

import boto3
import pytest
from botocore.exceptions import ClientError

from partnerbus.testing.server_process import ServerProcess
from tests.cli.commands import is_one_sentence, partnerbus

pytestmark = pytest.mark.slow

PARTNER, CUSTOMER = "999988887777", "111122223333"


def client(url, key):
    return boto3.client(
        "events",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret_access_key"],
    )


async def who_is(url, key):
    """The account that a key acts for, or the code of the refusal."""

    def ask():
        try:
            return client(url, key).describe_event_bus()["Arn"].split(":")[4]
        except ClientError as error:
            return error.response["Error"]["Code"]

    return await asyncio.to_thread(ask)


@pytest.fixture
def data(tmp_path):
    return str(tmp_path / "data")


async def create(data, *arguments, **options):
    done = await partnerbus("account", "create", *arguments, "--data", data, "--json", **options)
    assert done.status == 0, done.err
    return done.json


async def accounts(data):
    return (await partnerbus("account", "list", "--data", data, "--json")).json["accounts"]


async def test_without_a_server_the_command_opens_the_folder_itself(data):
    made = await create(data, PARTNER, "--partner", "acme.com")
    assert made["account"] == PARTNER
    assert made["partner"] == "acme.com"
    assert len(made["access_key_id"]) == 20
    assert len(made["secret_access_key"]) == 40
    (listed,) = await accounts(data)
    assert (listed["id"], listed["partner"]) == (PARTNER, "acme.com")
    assert [key["access_key_id"] for key in listed["keys"]] == [made["access_key_id"]]


async def test_what_was_made_without_a_server_is_known_to_the_next_one(data, tmp_path):
    made = await create(data, CUSTOMER)
    async with ServerProcess(tmp_path / "data") as server:
        assert await who_is(server.url, made) == CUSTOMER


async def test_on_a_running_server_an_account_works_at_once(data, tmp_path):
    async with ServerProcess(tmp_path / "data") as server:
        made = await create(data, CUSTOMER)
        assert await who_is(server.url, made) == CUSTOMER
        assert [each["id"] for each in await accounts(data)] == [CUSTOMER]


async def test_a_rotated_key_works_beside_the_old_one_until_that_is_deleted(data, tmp_path):
    async with ServerProcess(tmp_path / "data") as server:
        old = await create(data, CUSTOMER)
        rotated = await partnerbus("account", "key", "rotate", CUSTOMER, "--data", data, "--json")
        new = rotated.json
        assert await who_is(server.url, old) == await who_is(server.url, new) == CUSTOMER
        key = ("account", "key", "delete", CUSTOMER, old["access_key_id"], "--data", data)
        assert (await partnerbus(*key)).status == 0
        assert await who_is(server.url, old) == "UnrecognizedClientException"
        assert await who_is(server.url, new) == CUSTOMER
        assert "has no access key" in (await partnerbus(*key)).err


async def test_a_deleted_account_takes_its_keys_with_it(data, tmp_path):
    async with ServerProcess(tmp_path / "data") as server:
        made = await create(data, CUSTOMER)
        assert (await partnerbus("account", "delete", CUSTOMER, "--data", data)).status == 0
        assert await who_is(server.url, made) == "UnrecognizedClientException"
        assert await accounts(data) == []
        await create(data, CUSTOMER, "--access-key-id", "again", "--secret-access-key", "secret")


async def test_an_account_that_holds_something_is_not_deleted(data, tmp_path):
    async with ServerProcess(tmp_path / "data") as server:
        made = await create(data, CUSTOMER)
        events = client(server.url, made)
        await asyncio.to_thread(events.create_event_bus, Name="orders")
        done = await partnerbus("account", "delete", CUSTOMER, "--data", data)
        assert done.status == 1
        assert done.err == f"Error: account {CUSTOMER} still holds the bus orders; delete these first\n"
        assert await who_is(server.url, made) == CUSTOMER


async def test_a_default_bus_that_was_changed_goes_with_its_account(data, tmp_path):
    async with ServerProcess(tmp_path / "data") as server:
        events = client(server.url, await create(data, CUSTOMER))
        await asyncio.to_thread(events.update_event_bus, Description="mine")
        assert (await partnerbus("account", "delete", CUSTOMER, "--data", data)).status == 0
        events = client(server.url, await create(data, CUSTOMER))
        found = await asyncio.to_thread(events.describe_event_bus)
        assert "Description" not in found


@pytest.mark.parametrize("account", ["", ".", f"{CUSTOMER}/", f"{CUSTOMER}/keys/AKIDEXAMPLE"])
async def test_an_account_is_named_by_its_id_alone(data, account):
    await create(data, CUSTOMER, "--access-key-id", "AKIDEXAMPLE", "--secret-access-key", "secret")
    done = await partnerbus("account", "delete", account, "--data", data)
    assert done.status != 0
    assert [len(each["keys"]) for each in await accounts(data)] == [1]


@pytest.mark.parametrize(
    ("options", "environment", "stdin"),
    [
        (("--secret-access-key", "s3cret/of+mine"), {}, ""),
        (("--secret-access-key", "-"), {}, "s3cret/of+mine\n"),
        ((), {"PARTNERBUS_SECRET_ACCESS_KEY": "s3cret/of+mine"}, ""),
    ],
)
async def test_a_key_pair_of_ones_own(data, options, environment, stdin):
    given = ("--access-key-id", "AKIDEXAMPLE", *options)
    made = await create(data, CUSTOMER, *given, environment=environment, stdin=stdin)
    assert made["access_key_id"] == "AKIDEXAMPLE"
    assert made["secret_access_key"] == "s3cret/of+mine"


REFUSED = [
    (("12345",), "12 digits"),
    (("٠" * 12,), "12 digits"),
    ((CUSTOMER, "--partner", "acme"), "domain"),
    ((CUSTOMER, "--partner", "Acme.com"), "lower case"),
    ((CUSTOMER, "--partner", "acme.com/evil"), "domain"),
    ((CUSTOMER, "--access-key-id", "ID"), "together or not at all"),
    ((CUSTOMER, "--access-key-id", "a/b", "--secret-access-key", "x"), "access key id is"),
    ((CUSTOMER, "--access-key-id", "ab", "--secret-access-key", "x y"), "white space"),
    ((PARTNER,), "exists already"),
    ((CUSTOMER, "--access-key-id", "taken", "--secret-access-key", "x"), "exists already"),
]


async def test_what_cannot_be_created_is_refused_in_a_sentence(data):
    await create(data, PARTNER, "--access-key-id", "taken", "--secret-access-key", "x")
    for arguments, sentence in REFUSED:
        done = await partnerbus("account", "create", *arguments, "--data", data)
        assert done.status == 1, arguments
        assert sentence in done.err
        assert is_one_sentence(done.err)
    assert [each["id"] for each in await accounts(data)] == [PARTNER]


async def test_a_folder_that_is_not_there_is_only_made_by_create(data, tmp_path):
    done = await partnerbus("account", "list", "--data", data)
    assert done.status == 2
    assert is_one_sentence(done.err)
    assert not (tmp_path / "data").exists()


async def test_a_secret_is_shown_once_and_lies_nowhere_in_clear(data, tmp_path):
    log = tmp_path / "log"
    async with ServerProcess(tmp_path / "data", "--log-level", "debug", log=log) as server:
        made = await create(data, CUSTOMER)
        secret = made["secret_access_key"]
        assert await who_is(server.url, made) == CUSTOMER
        assert await who_is(server.url, made | {"secret_access_key": "wrong"}) == "InvalidSignatureException"
        for arguments in (("account", "list"), ("status",), ("account", "list", "--json")):
            done = await partnerbus(*arguments, "--data", data)
            assert secret not in done.out + done.err
        await server.stop()
    assert secret not in log.read_text()
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert files
    assert all(secret.encode() not in path.read_bytes() for path in files)


async def test_only_the_owner_may_read_the_folder(data, tmp_path):
    async with ServerProcess(tmp_path / "data"):
        await create(data, CUSTOMER)
        folder = tmp_path / "data"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
        assert {"secret.key", "operator.json"} <= modes.keys()
        assert set(modes.values()) == {0o600}


async def test_a_quota_is_changed_and_reset_with_a_server_and_without_one(data, tmp_path):
    made = await create(data, CUSTOMER)
    quota = ("--data", data, "--json")
    assert (await partnerbus("account", "quota", "set", CUSTOMER, "event-buses", "0", *quota)).status == 0
    async with ServerProcess(tmp_path / "data") as server:
        events = client(server.url, made)
        with pytest.raises(ClientError, match="LimitExceededException"):
            await asyncio.to_thread(events.create_event_bus, Name="orders")
        shown = (await partnerbus("account", "quota", "list", CUSTOMER, "--data", data)).out.splitlines()
        assert shown[0].split() == ["QUOTA", "VALUE", "DEFAULT"]
        assert ["event-buses", "0", "100"] in [line.split() for line in shown]
        done = await partnerbus("account", "quota", "reset", CUSTOMER, "event-buses", *quota)
        assert {each["name"]: each["value"] for each in done.json["quotas"]}["event-buses"] == 100
        await asyncio.to_thread(events.create_event_bus, Name="orders")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((CUSTOMER, "buses", "1"), "there is no quota buses; they are event-buses, "),
        ((CUSTOMER, "targets-per-rule", "101"), "targets-per-rule must be from 0 to 100"),
        ((PARTNER, "event-buses", "1"), f"there is no account {PARTNER}"),
    ],
)
async def test_a_quota_that_cannot_be_set(data, arguments, said):
    await create(data, CUSTOMER)
    done = await partnerbus("account", "quota", "set", *arguments, "--data", data)
    assert done.status == 1
    assert is_one_sentence(done.err)
    assert said in done.err
