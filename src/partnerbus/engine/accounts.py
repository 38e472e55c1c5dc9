"""Accounts and their access keys: who may call, and as which partner.

A customer is an account. A partner is a domain with one or more publishing accounts: its domain stands on
each of them. An account may have any number of keys; rotating adds one and leaves the old ones valid until
they are deleted, so that a caller can change over without a gap.

An account is deleted together with its keys, but only once it holds nothing else: resources of an account
that nobody can call for would go on delivering, unseen. A partner's sources belong to the domain, not to
the account, so deleting a publishing account touches none of them; nor does an offered source, which is
its partner's until the customer has made a bus of it. The default bus, which nobody can delete, goes with
its account, and so do replays that have ended. What is still stored of the default bus's events stays until
it is trimmed: whoever shows it has to see that it is older than an account which got the same number since.
"""

import re
import secrets as random
import string
from collections.abc import Iterator

import msgspec

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import PartnerbusError, RevisionConflict
from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.arns import DEFAULT_BUS
from partnerbus.model.quotas import Quota, table
from partnerbus.model.resources import (
    AccessKey,
    Account,
    AnyResource,
    ApiDestination,
    Archive,
    Connection,
    EventBus,
    GlobalEndpoint,
    Replay,
    Rule,
    Webhook,
    access_key_key,
    account_key,
)

ACCOUNT_ID = re.compile(r"[0-9]{12}", re.ASCII)
DOMAIN = re.compile(r"(?=.{4,200}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
ACCESS_KEY_ID = re.compile(r"[\w.-]{1,128}", re.ASCII)
SECRET = re.compile(r"[!-~]{1,128}")
"""Printable, no white space: what survives an environment variable and a credentials file."""

KEY_PREFIX = "PB"
KEY_CHARACTERS = 20
SECRET_CHARACTERS = 40


class AccountRefused(PartnerbusError):
    """The accounts cannot be changed like that."""


class AccountNotFound(AccountRefused):
    """There is no such account or key."""


class AccountExists(AccountRefused):
    """The account or the key exists already."""


class KeyHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Whose key it is. `secret` is for verifying signatures only; it is never logged or returned."""

    account: str
    partner: str | None
    secret: str

    def __repr__(self) -> str:
        return f"KeyHolder(account={self.account!r}, partner={self.partner!r})"


class KeyPair(msgspec.Struct, frozen=True, kw_only=True):
    """An access key and its secret, in clear: shown once, to whoever asked for it."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyPair(id={self.id!r})"


class Accounts:
    """The accounts of this node."""

    def __init__(self, catalog: Catalog, secrets: SecretBox, clock: Clock) -> None:
        self._catalog = catalog
        self._secrets = secrets
        self._clock = clock
        self._opened: dict[str, str] = {}
        catalog.listen(self._forget_secret)

    # -- reading ---------------------------------------------------------------------------------------

    def holder(self, access_key: str) -> KeyHolder | None:
        """Who holds an access key; None if nobody does. Reads memory."""
        key = self._catalog.get(AccessKey, access_key_key(access_key))
        account = self.find(key.account) if key is not None else None
        if key is None or account is None:
            return None
        secret = self._opened.get(key.id)
        if secret is None:
            secret = self._opened[key.id] = self._secrets.open(key.sealed_secret)
        return KeyHolder(account=account.id, partner=account.partner, secret=secret)

    def find(self, account: str) -> Account | None:
        """The account with that id."""
        return self._catalog.get(Account, account_key(account))

    def every(self) -> Iterator[Account]:
        """Every account, by id."""
        return self._catalog.list(Account, account_key(""))

    def keys(self, account: str) -> list[AccessKey]:
        """The keys of an account, the oldest first."""
        found = self._catalog.list(AccessKey, access_key_key(""))
        return sorted((key for key in found if key.account == account), key=lambda key: key.created_at)

    def held_by(self, account: str) -> list[str]:
        """What keeps an account from being deleted, in words."""
        return sorted(self._held_by(account))

    def check(self) -> None:
        """A `ConfigurationError` if the stored secrets were sealed with another key file than ours."""
        for key in self._catalog.list(AccessKey, access_key_key("")):
            self._secrets.open(key.sealed_secret)
            return

    # -- changing --------------------------------------------------------------------------------------

    async def create(self, account: str, partner: str | None = None, pair: KeyPair | None = None) -> KeyPair:
        """Add an account with one key, the given one or a drawn one. Raises `AccountRefused`."""
        if not ACCOUNT_ID.fullmatch(account):
            raise AccountRefused(f"an account id is 12 digits, which {account!r} is not")
        if partner is not None and not DOMAIN.fullmatch(partner):
            raise AccountRefused(
                f"a partner is named by its domain in lower case, like acme.com, which {partner!r} is not"
            )
        pair = self._usable(pair) if pair is not None else draw_key_pair()
        try:
            await self._catalog.create(Account(id=account, partner=partner, created_at=self._clock.now()))
        except RevisionConflict:
            raise AccountExists(f"account {account} exists already") from None
        return await self._add_key(account, pair)

    async def rotate(self, account: str, pair: KeyPair | None = None) -> KeyPair:
        """Give an account one more key; those it has stay until `delete_key`. Raises `AccountRefused`."""
        self._existing(account)
        return await self._add_key(account, self._usable(pair) if pair is not None else draw_key_pair())

    async def delete_key(self, account: str, access_key: str) -> None:
        """Take a key away; calls signed with it are refused from now on. Raises `AccountRefused`."""
        key = self._catalog.get(AccessKey, access_key_key(access_key))
        if key is None or key.account != account:
            raise AccountNotFound(f"account {account} has no access key {access_key}")
        await self._catalog.remove(key)

    async def delete(self, account: str) -> None:
        """Remove an account and its keys. Raises `AccountRefused` while it holds resources."""
        found = self._existing(account)
        if held := self.held_by(account):
            more = f" and {len(held) - 3} more" if len(held) > 3 else ""
            raise AccountRefused(
                f"account {account} still holds {', '.join(held[:3])}{more}; delete these first"
            )
        await self._delete_keys(account)
        for bus in list(self._catalog.list(EventBus, f"bus:{account}:")):
            await self._catalog.remove(bus)
        for replay in list(self._catalog.list(Replay, f"replay:{account}:")):
            await self._catalog.remove(replay)
        await self._catalog.remove(found)
        await self._delete_keys(account)  # one that was added in between

    async def set_quota(self, account: str, name: str, value: int) -> None:
        """Give an account a quota of its own. Raises `AccountRefused`."""
        quota = _known_quota(name)
        if not quota.least <= value <= quota.most:
            raise AccountRefused(f"{name} must be from {quota.least} to {quota.most}")
        found = self._existing(account)
        await self._set_quotas(found, {**found.quotas, name: value})

    async def reset_quota(self, account: str, name: str) -> None:
        """Give an account the default quota again. Raises `AccountRefused`."""
        _known_quota(name)
        found = self._existing(account)
        await self._set_quotas(found, {key: value for key, value in found.quotas.items() if key != name})

    async def _set_quotas(self, account: Account, quotas: dict[str, int]) -> None:
        if quotas != account.quotas:
            await self._catalog.replace(account, msgspec.structs.replace(account, quotas=quotas))

    # -- details ---------------------------------------------------------------------------------------

    async def _add_key(self, account: str, pair: KeyPair) -> KeyPair:
        sealed = self._secrets.seal(pair.secret)
        key = AccessKey(id=pair.id, account=account, sealed_secret=sealed, created_at=self._clock.now())
        try:
            await self._catalog.create(key)
        except RevisionConflict:
            raise AccountExists(f"the access key {pair.id} exists already") from None
        if self.find(account) is None:  # who gets this account next must not get this key
            await self._delete_keys(account)
        self._existing(account)
        return pair

    async def _delete_keys(self, account: str) -> None:
        for key in self.keys(account):
            await self._catalog.remove(key)

    def _existing(self, account: str) -> Account:
        found = self.find(account)
        if found is None:
            raise AccountNotFound(f"there is no account {account}")
        return found

    def _usable(self, pair: KeyPair) -> KeyPair:
        if not ACCESS_KEY_ID.fullmatch(pair.id):
            raise AccountRefused("an access key id is up to 128 letters, digits, '_', '.' and '-'")
        if not SECRET.fullmatch(pair.secret):
            raise AccountRefused("a secret access key is up to 128 printable characters without white space")
        if self._catalog.get(AccessKey, access_key_key(pair.id)) is not None:
            raise AccountExists(f"the access key {pair.id} exists already")
        return pair

    def _held_by(self, account: str) -> Iterator[str]:
        for bus in self._catalog.list(EventBus, f"bus:{account}:"):
            if bus.name != DEFAULT_BUS:
                yield f"the bus {bus.name}"
        yield from self._rules_of(account)
        yield from self._kept_for(account)
        for connection in self._catalog.list(Connection, f"connection:{account}:"):
            yield f"the connection {connection.name}"
        for destination in self._catalog.list(ApiDestination, f"api-destination:{account}:"):
            yield f"the API destination {destination.name}"
        for webhook in self._catalog.list(Webhook, f"webhook:{account}:"):
            yield f"the webhook {webhook.name}"
        for endpoint in self._catalog.list(GlobalEndpoint, f"endpoint:{account}:"):
            yield f"the global endpoint {endpoint.name}"

    def _rules_of(self, account: str) -> Iterator[str]:
        """Those on its buses, and those that it made on the buses of others."""
        for rule in self._catalog.list(Rule, "rule:"):
            if rule.account == account:
                yield f"the rule {rule.name}"
            elif rule.created_by == account:
                yield f"the rule {rule.name} on the bus {rule.bus} of {rule.account}"

    def _kept_for(self, account: str) -> Iterator[str]:
        for archive in self._catalog.list(Archive, f"archive:{account}:"):
            yield f"the archive {archive.name}"
        for replay in self._catalog.list(Replay, f"replay:{account}:"):
            if replay.is_active:
                yield f"the replay {replay.name}"

    def _forget_secret(self, _key: str, before: AnyResource | None, _after: AnyResource | None) -> None:
        if isinstance(before, AccessKey):
            self._opened.pop(before.id, None)


def _known_quota(name: str) -> Quota:
    found = table().get(name)
    if found is None:
        raise AccountNotFound(f"there is no quota {name}; they are {', '.join(table())}")
    return found


def draw_key_pair() -> KeyPair:
    """A new key: a 20-character id, and a secret of 40 letters and digits (238 bits)."""
    letters = string.ascii_uppercase + "234567"
    drawn = (random.choice(letters) for _ in range(KEY_CHARACTERS - len(KEY_PREFIX)))
    alphabet = string.ascii_letters + string.digits
    return KeyPair(
        id=KEY_PREFIX + "".join(drawn),
        secret="".join(random.choice(alphabet) for _ in range(SECRET_CHARACTERS)),
    )
