"""Accounts on a real registry: who holds a key, and for how long."""

import asyncio

import msgspec
import pytest

from partnerbus.engine.accounts import (
    AccountExists,
    AccountNotFound,
    AccountRefused,
    Accounts,
    KeyPair,
    draw_key_pair,
)
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.resources import Archive, Replay, ReplayState, Rule, RuleState
from partnerbus.node.folder import DataFolder, opened

ACCOUNT, OTHER = "111122223333", "999900000001"
PAIR = KeyPair(id="AKIDEXAMPLE", secret="wJalrXUtnFEMI")


@pytest.fixture
async def found(tmp_path):
    async with opened(DataFolder(tmp_path / "data"), ManualClock(), Failpoints()) as found:
        yield found


async def test_a_key_is_held_by_its_account_and_partner(found):
    accounts = found.accounts
    pair = await accounts.create(ACCOUNT, "acme.com", PAIR)
    assert pair == PAIR
    holder = accounts.holder(PAIR.id)
    assert (holder.account, holder.partner, holder.secret) == (ACCOUNT, "acme.com", PAIR.secret)
    assert accounts.holder("AKIDOTHER") is None


async def test_a_key_that_is_gone_is_held_by_nobody_and_its_secret_is_forgotten(found):
    accounts = found.accounts
    await accounts.create(ACCOUNT, None, PAIR)
    assert accounts.holder(PAIR.id) is not None
    await accounts.delete_key(ACCOUNT, PAIR.id)
    assert accounts.holder(PAIR.id) is None
    await accounts.rotate(ACCOUNT, KeyPair(id=PAIR.id, secret="another"))
    assert accounts.holder(PAIR.id).secret == "another"


async def test_a_partner_may_have_many_publishing_accounts(found):
    for account in ("999900000001", "999900000002"):
        await found.accounts.create(account, "acme.com")
    assert {account.partner for account in found.accounts.every()} == {"acme.com"}


async def test_a_key_of_another_account_is_not_deleted(found):
    await found.accounts.create(ACCOUNT, None, PAIR)
    await found.accounts.create("999900000001")
    with pytest.raises(AccountNotFound):
        await found.accounts.delete_key("999900000001", PAIR.id)
    assert found.accounts.holder(PAIR.id) is not None


@pytest.mark.parametrize("pause", range(8))
async def test_a_key_added_while_its_account_is_deleted_does_not_outlive_it(found, pause):
    accounts = found.accounts
    await accounts.create(ACCOUNT, None, PAIR)
    deleting = asyncio.create_task(accounts.delete(ACCOUNT))
    for _ in range(pause):
        await asyncio.sleep(0)
    await asyncio.gather(accounts.rotate(ACCOUNT), deleting, return_exceptions=True)
    assert accounts.find(ACCOUNT) is None
    assert accounts.keys(ACCOUNT) == []


async def test_what_goes_on_without_its_account_keeps_it_from_being_deleted(found):
    await found.accounts.create(ACCOUNT)
    now = ManualClock().now()
    archive = Archive(
        account=ACCOUNT,
        region="us-east-1",
        name="all",
        bus="orders",
        bus_log="1",
        log="archive@1",
        since=0,
        created_at=now,
    )
    replay = Replay(
        account=ACCOUNT,
        region="us-east-1",
        name="again",
        archive="all",
        archive_log="archive@1",
        bus="orders",
        log="replay@1",
        until=1,
        window_start_at=now,
        window_end_at=now,
        started_at=now,
    )
    rule = Rule(
        account=OTHER,
        region="us-east-1",
        bus="shared",
        name="mine",
        state=RuleState.ENABLED,
        created_by=ACCOUNT,
        created_at=now,
    )
    for held, words in (
        (archive, "the archive all"),
        (replay, "the replay again"),
        (rule, f"the rule mine on the bus shared of {OTHER}"),
    ):
        await found.catalog.create(held)
        assert found.accounts.held_by(ACCOUNT) == [words]
        with pytest.raises(AccountRefused, match=f"still holds {words}; delete these first"):
            await found.accounts.delete(ACCOUNT)
        await found.catalog.remove(held)
    await found.catalog.create(msgspec.structs.replace(replay, state=ReplayState.COMPLETED))
    await found.accounts.delete(ACCOUNT)
    assert found.catalog.get(Replay, replay.key) is None


async def test_what_exists_is_not_made_again(found):
    await found.accounts.create(ACCOUNT, None, PAIR)
    with pytest.raises(AccountExists, match="account 111122223333"):
        await found.accounts.create(ACCOUNT)
    with pytest.raises(AccountExists, match="access key AKIDEXAMPLE"):
        await found.accounts.create("999900000001", None, PAIR)
    assert found.accounts.find("999900000001") is None


async def test_nothing_is_made_of_what_is_refused(found):
    for account, partner, pair in (
        ("1", None, None),
        (ACCOUNT, "localhost", None),
        (ACCOUNT, "-acme.com", None),
        (ACCOUNT, None, KeyPair(id="", secret="x")),
        (ACCOUNT, None, KeyPair(id="ID", secret="")),
    ):
        with pytest.raises(AccountRefused):
            await found.accounts.create(account, partner, pair)
    assert list(found.accounts.every()) == []


def test_secrets_do_not_show_when_something_is_printed():
    pair = draw_key_pair()
    assert pair.secret not in repr(pair)
    assert len(pair.id) == 20
    assert len(pair.secret) == 40


async def test_secrets_that_another_key_sealed_are_told_at_the_start(found):
    await found.accounts.create(ACCOUNT, None, PAIR)
    found.accounts.check()
    other = Accounts(found.catalog, SecretBox(b"A" * 43 + b"="), ManualClock())
    with pytest.raises(ConfigurationError):
        other.check()
