"""The registry in memory: typed, indexed by key, and current.

Every read of the hot path (who signed this, which bus, which rules) is a look-up here. It is loaded once
and then follows the store's changes; a change made through it is visible when the call returns, before
the watch has told of it, so each change may arrive twice and only the higher revision counts.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import TypeVar

import msgspec

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.model import arns
from partnerbus.model.resources import (
    Account,
    AnyResource,
    ApiDestination,
    Archive,
    Connection,
    EventBus,
    Webhook,
    account_key,
    api_destination_key,
    archive_key,
    bus_key,
    connection_key,
    decode_resource,
    default_log,
    encode_resource,
    webhook_key,
)
from partnerbus.store.protocol import RegistryStore

R = TypeVar("R", bound=AnyResource)

LAST_CHARACTER = "\U0010ffff"

Listener = Callable[[str, AnyResource | None, AnyResource | None], None]
"""Called with (key, before, after) for each change, in the event loop; it must not raise or wait."""


class Entry(msgspec.Struct, frozen=True):
    """A resource with the revision it was read at."""

    resource: AnyResource
    revision: int


class Catalog:
    """Typed access to the registry. Open it with `await catalog.load()`, keep it current with `follow()`.

    `_gone` has the revisions of removals that were applied here before the watch told of them, so that what
    the watch tells late brings nothing back. And the other way round: of a change made here that the watch
    has told of already, and perhaps of what others have made of it since, nothing is applied again.
    """

    def __init__(self, store: RegistryStore, clock: Clock) -> None:
        self._store = store
        self._opened_at = clock.now()
        self._entries: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._gone: dict[str, int] = {}
        self._told = 0
        self._listeners: list[Listener] = []
        self._changes = store.watch()
        self._is_cut_off = False

    async def load(self) -> None:
        """Read the whole registry. Call it once, before anything else."""
        for found in await self._store.list(""):
            self._apply(found.key, decode_resource(found.value), found.revision)

    async def follow(self) -> None:
        """Apply the store's changes until cancelled.

        The watch of a follower that fell too far behind ends with an error; whoever calls again then gets a
        new watch, and everything that was missed.
        """
        if self._is_cut_off:
            self._changes = self._store.watch()
        async with aclosing(self._changes) as changes:  # type: ignore[type-var]
            if self._is_cut_off:
                await self._catch_up()
            self._is_cut_off = True
            async for change in changes:
                resource = None if change.value is None else decode_resource(change.value)
                self._told = change.revision
                self._apply(change.key, resource, change.revision)
                if self._gone.get(change.key) == change.revision:
                    del self._gone[change.key]  # nothing older can arrive any more

    async def _catch_up(self) -> None:
        """Make this what the store holds; the new watch tells what changes meanwhile."""
        self._gone.clear()
        before = {key: entry.revision for key, entry in self._entries.items()}
        stored = await self._store.list("")
        for key in before.keys() - {found.key for found in stored}:
            if self.revision(key) == before[key]:  # not one that was made while we read
                self._apply(key, None, before[key] + 1)
                del self._gone[key]
        for found in stored:
            self._apply(found.key, decode_resource(found.value), found.revision)

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of each change from now on."""
        self._listeners.append(listener)

    # -- reading ---------------------------------------------------------------------------------------

    def get(self, kind: type[R], key: str) -> R | None:
        """The resource at `key`, if it is a `kind`."""
        entry = self._entries.get(key)
        return entry.resource if entry is not None and isinstance(entry.resource, kind) else None

    def revision(self, key: str) -> int:
        """The revision of what is at `key`; 0 if nothing is."""
        entry = self._entries.get(key)
        return entry.revision if entry is not None else 0

    def list(self, kind: type[R], prefix: str, after: str | None = None) -> Iterator[R]:
        """Resources of `kind` whose key starts with `prefix`, by key; those after key `after` if given."""
        first = bisect_left(self._keys, prefix)
        last = bisect_left(self._keys, prefix + LAST_CHARACTER)
        if after is not None:
            first = max(first, bisect_right(self._keys, after))
        for key in self._keys[first:last]:
            entry = self._entries.get(key)
            if entry is not None and isinstance(entry.resource, kind):
                yield entry.resource

    def count(self, prefix: str) -> int:
        """How many keys start with `prefix`."""
        return bisect_left(self._keys, prefix + LAST_CHARACTER) - bisect_left(self._keys, prefix)

    def bus(self, account: str, region: str, name: str) -> EventBus | None:
        """The bus of that name. Every account has a default bus in every region, stored or not."""
        found = self.get(EventBus, bus_key(account, region, name))
        if found is not None or name != arns.DEFAULT_BUS:
            return found
        owner = self.get(Account, account_key(account))
        since = owner.created_at if owner is not None else self._opened_at
        log = default_log(account, region)
        return EventBus(
            account=account, region=region, name=name, log=log, created_at=since, modified_at=since
        )

    def bus_by_arn(self, arn: str) -> EventBus | None:
        """The bus with that ARN, on this node, whoever owns it."""
        parsed = arns.Arn.parse(arn)
        kind, _, name = parsed.resource.partition("/") if parsed else ("", "", "")
        if parsed is None or parsed.service != "events" or kind != "event-bus":
            return None
        return self.bus(parsed.account, parsed.region, name)

    def connection_by_arn(self, arn: str) -> Connection | None:
        """The connection with that ARN; one made anew under the same name has another."""
        found = self._named_in(arn, Connection, "connection", connection_key)
        return found if found is not None and found.arn == arn else None

    def api_destination_by_arn(self, arn: str) -> ApiDestination | None:
        """The API destination with that ARN; one made anew under the same name has another."""
        found = self._named_in(arn, ApiDestination, "api-destination", api_destination_key)
        return found if found is not None and found.arn == arn else None

    def webhook_by_arn(self, arn: str) -> Webhook | None:
        """The webhook with that ARN; one made anew under the same name has the same."""
        parsed = arns.Arn.parse(arn)
        if parsed is None:
            return None
        found = self.get(Webhook, webhook_key(parsed.account, parsed.region, parsed.resource))
        return found if found is not None and found.arn == arn else None

    def archive_by_arn(self, arn: str) -> Archive | None:
        """The archive with that ARN; one made anew under the same name has the same."""
        parsed = arns.Arn.parse(arn)
        kind, _, name = parsed.resource.partition("/") if parsed else ("", "", "")
        found = self.get(Archive, archive_key(parsed.account, parsed.region, name)) if parsed else None
        return found if found is not None and kind == "archive" and found.arn == arn else None

    def _named_in(self, arn: str, kind: type[R], word: str, key: Callable[[str, str, str], str]) -> R | None:
        parsed = arns.Arn.parse(arn)
        parts = parsed.resource.split("/") if parsed else []
        if parsed is None or len(parts) != 3 or parts[0] != word:
            return None
        return self.get(kind, key(parsed.account, parsed.region, parts[1]))

    # -- changing --------------------------------------------------------------------------------------

    async def create(self, resource: AnyResource) -> None:
        """Add a resource; `RevisionConflict` if its key is taken."""
        await self._put(resource, 0)

    async def replace(self, before: AnyResource, after: AnyResource) -> None:
        """Change a resource that was read as `before`; `RevisionConflict` if it is no longer that."""
        entry = self._entries.get(before.key)
        if entry is None or entry.resource != before:
            raise RevisionConflict
        await self._put(after, entry.revision)

    async def remove(self, resource: AnyResource) -> None:
        """Remove a resource that was read as `resource`; `RevisionConflict` if it is no longer that."""
        entry = self._entries.get(resource.key)
        if entry is None or entry.resource != resource:
            raise RevisionConflict
        revision = await self._store.delete(resource.key, entry.revision)
        self._apply_own(resource.key, None, revision)

    async def _put(self, resource: AnyResource, expected: int) -> None:
        revision = await self._store.put(resource.key, encode_resource(resource), expected)
        self._apply_own(resource.key, resource, revision)

    def _apply_own(self, key: str, after: AnyResource | None, revision: int) -> None:
        if revision > self._told:
            self._apply(key, after, revision)

    def _apply(self, key: str, after: AnyResource | None, revision: int) -> None:
        known = self._entries.get(key)
        if revision <= max(known.revision if known else 0, self._gone.get(key, 0)):
            return
        if after is None:
            if known is None:
                return  # the watch was faster
            self._gone[key] = revision
            del self._entries[key]
            del self._keys[bisect_left(self._keys, key)]
        else:
            self._entries[key] = Entry(after, revision)
            if known is None:
                insort(self._keys, key)
            self._gone.pop(key, None)
        before = known.resource if known else None
        for listener in self._listeners:
            listener(key, before, after)
