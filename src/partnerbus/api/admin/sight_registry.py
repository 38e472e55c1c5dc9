"""What one viewer may see of the registry, and which logs are its own."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

import msgspec

from partnerbus.api.admin.request import AdminServices
from partnerbus.api.admin.viewer import OPERATOR, Viewer
from partnerbus.engine.accounts import ACCOUNT_ID
from partnerbus.engine.damage import damaged_events
from partnerbus.engine.target_health import failing_targets
from partnerbus.model import arns
from partnerbus.model.resources import (
    ARCHIVE_LOGS,
    REPLAY_LOGS,
    ApiDestination,
    Archive,
    Connection,
    ConnectionState,
    DamagedEvent,
    EventBus,
    FailingTarget,
    PartnerSource,
    Replay,
    Rule,
    Webhook,
    default_log,
)
from partnerbus.store.protocol import Ledger, LogInfo, LogSize


class BusRef(msgspec.Struct, frozen=True, kw_only=True):
    """A bus by name, whether or not it is in the registry."""

    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return arns.bus_arn(self.region, self.account, self.name)


class RegistrySight:
    """The part of a `Sight` that is about resources and logs."""

    def __init__(self, services: AdminServices, viewer: Viewer) -> None:
        self._services = services
        self.viewer = viewer

    def now(self) -> datetime:
        return self._services.clock.now()

    @property
    def since(self) -> datetime | None:
        """When the viewer's account was made. What is older is of whoever had its number before."""
        found = self._services.accounts.find(self.viewer.account) if self.viewer.account is not None else None
        return found.created_at if found is not None else None

    def timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """As the clock's."""
        return self._services.clock.timeout(duration)

    # -- the registry ----------------------------------------------------------------------------------

    def rules(self) -> Iterator[Rule]:
        """The rules that the viewer made."""
        every = self._services.catalog.list(Rule, "rule:")
        return (rule for rule in every if self.viewer.is_own(rule.created_by))

    def rules_of(self, bus: BusRef) -> list[Rule]:
        """Those of them that are on a bus."""
        return [
            rule
            for rule in self.rules()
            if (rule.account, rule.region, rule.bus) == (bus.account, bus.region, bus.name)
        ]

    def sources(self) -> Iterator[PartnerSource]:
        """The sources that were offered to the viewer, or that it offers as a partner."""
        every = self._services.catalog.list(PartnerSource, "source:")
        return (source for source in every if self.is_customer(source) or self.is_partner(source))

    def is_customer(self, source: PartnerSource) -> bool:
        """Whether the source is the viewer's to accept."""
        return self.viewer.is_own(source.account)

    def is_partner(self, source: PartnerSource) -> bool:
        """Whether the viewer publishes through the source."""
        return self.viewer.partner is not None and self.viewer.partner == source.partner

    def connections(self) -> Iterator[Connection]:
        """The connections of the viewer's, without those that only wait for their secret to be deleted."""
        every = self._services.catalog.list(Connection, "connection:")
        return (
            each
            for each in every
            if self.viewer.is_own(each.account) and each.state is not ConnectionState.DELETING
        )

    def api_destinations(self) -> Iterator[ApiDestination]:
        """The API destinations of the viewer's."""
        every = self._services.catalog.list(ApiDestination, "api-destination:")
        return (each for each in every if self.viewer.is_own(each.account))

    def webhooks(self) -> Iterator[Webhook]:
        """The webhooks of the viewer's."""
        every = self._services.catalog.list(Webhook, "webhook:")
        return (each for each in every if self.viewer.is_own(each.account))

    async def add_webhook(self, made: Webhook) -> None:
        """Make a webhook of the viewer's own. `RevisionConflict`: there is one of that name."""
        assert self.viewer.is_own(made.account)
        await self._services.catalog.create(made)

    async def change_webhook(self, before: Webhook, after: Webhook) -> None:
        """Change one of `webhooks`. `RevisionConflict`: somebody else has changed it meanwhile."""
        assert self.viewer.is_own(before.account)
        assert before.key == after.key
        await self._services.catalog.replace(before, after)

    async def remove_webhook(self, found: Webhook) -> None:
        """Remove one of `webhooks`."""
        assert self.viewer.is_own(found.account)
        await self._services.catalog.remove(found)

    def seal(self, secret: str) -> str:
        """A secret as it is kept."""
        return self._services.secrets.seal(secret)

    async def url_refusal(self, url: str) -> str | None:
        """Why nothing may be sent to a URL; None if something may."""
        return await self._services.url_refusal(url)

    def registered_buses(self) -> Mapping[str, BusRef]:
        """The buses of the viewer's that somebody made, by log, whether they had events or not."""
        every = self._services.catalog.list(EventBus, "bus:")
        return {
            bus.log: BusRef(account=bus.account, region=bus.region, name=bus.name)
            for bus in every
            if self.viewer.is_own(bus.account)
        }

    # -- whose, and where ------------------------------------------------------------------------------

    @property
    def region(self) -> str | None:
        """The server's region; None where none runs."""
        running = self._services.running()
        return running.region if running is not None else None

    def is_account(self, account: str) -> bool:
        """Whether the viewer may make something for an account, and there is such a one."""
        if not self.viewer.is_own(account):
            return False
        running = self._services.running()
        anybody = running is not None and running.auth == "none" and ACCOUNT_ID.fullmatch(account)
        return self._services.accounts.find(account) is not None or bool(anybody)

    def only_customer(self) -> str | None:
        """The one customer that the viewer can mean; None if there are several, or none."""
        customers = [each.id for each in self._services.accounts.every() if each.partner is None]
        own = [each for each in customers if self.viewer.is_own(each)]
        return own[0] if len(own) == 1 else None

    # -- what fails ------------------------------------------------------------------------------------

    def failing_targets(self) -> Iterator[FailingTarget]:
        return (each for each in failing_targets(self._services.catalog) if self.viewer.is_own(each.account))

    def damaged_events(self) -> Iterator[tuple[BusRef, DamagedEvent]]:
        """The events on buses of the viewer's that the disk has changed before they were routed."""
        every = list(damaged_events(self._services.catalog))
        own = self.buses_by_log([each.log for each in every])
        return ((own[each.log], each) for each in every if each.log in own)

    async def set_sharing(self, source: PartnerSource, errors: bool) -> PartnerSource:
        """Let the partner of a source, of which the viewer is the customer, see errors, or not."""
        assert self.is_customer(source)
        after = msgspec.structs.replace(source, shares_errors=errors)
        await self._services.catalog.replace(source, after)
        return after

    def held(self) -> Mapping[str, datetime]:
        """The targets that circuit breakers hold, and until when. Ask it of targets that were shown."""
        return self._services.held()

    def archives(self) -> Iterator[Archive]:
        """The archives of the viewer's buses, also of buses that are gone."""
        every = self._services.catalog.list(Archive, "archive:")
        return (each for each in every if self.viewer.is_own(each.account))

    def archive(self, name: str, account: str | None, region: str | None) -> Archive | None:
        """The archive of the viewer's with that name or ARN; None if there is none, or are several."""
        found = [
            each
            for each in self.archives()
            if name in (each.name, each.arn)
            if account in (None, each.account) and region in (None, each.region)
        ]
        return found[0] if len(found) == 1 else None

    def is_filled(self, archive: Archive) -> bool:
        """Whether the bus that an archive was made for is still there."""
        bus = self._services.catalog.bus(archive.account, archive.region, archive.bus)
        return bus is not None and bus.log == archive.bus_log

    async def size_of(self, archive: Archive) -> LogSize:
        """How much is in an archive that was shown."""
        return await self._services.store.size(archive.log)

    def replays(self) -> Iterator[Replay]:
        """The replays of the viewer's archives."""
        every = self._services.catalog.list(Replay, "replay:")
        return (each for each in every if self.viewer.is_own(each.account))

    async def ledger_of(self, replay: Replay) -> Ledger:
        """What became of the copies that a replay, which was shown, has made."""
        return await self._services.store.ledger(replay.log)

    # -- logs ------------------------------------------------------------------------------------------

    def buses_by_log(self, logs: Sequence[str]) -> dict[str, BusRef]:
        """The bus of each of `logs` that has one, also of replays. A default bus need not be registered."""
        found = {log: default for log in logs if (default := _default_bus(log)) is not None}
        for bus in self._services.catalog.list(EventBus, "bus:"):
            found[bus.log] = BusRef(account=bus.account, region=bus.region, name=bus.name)
        for replay in self._services.catalog.list(Replay, "replay:"):
            found[replay.log] = BusRef(account=replay.account, region=replay.region, name=replay.bus)
        return {log: bus for log, bus in found.items() if self.viewer.is_own(bus.account)}

    def buses_of_deliveries(self, logs: Sequence[str]) -> dict[str, BusRef]:
        """As `buses_by_log`, and the buses of others that the viewer has rules on."""
        every = type(self)(self._services, OPERATOR).buses_by_log(logs)
        on = {(rule.account, rule.region, rule.bus) for rule in self.rules()}
        return {
            log: bus
            for log, bus in every.items()
            if self.viewer.is_own(bus.account) or (bus.account, bus.region, bus.name) in on
        }

    async def logs_with_own_deliveries(self) -> dict[str, BusRef]:
        """Every log that may have deliveries of the viewer's, and the bus it is of."""
        return self.buses_of_deliveries([info.log for info in await self._services.store.logs()])

    async def logs(self) -> Sequence[LogInfo]:
        """The logs of the viewer's buses and replays; for the operator also those of buses that are gone."""
        infos = [info for info in await self._services.store.logs() if not info.log.startswith(ARCHIVE_LOGS)]
        if self.viewer.is_operator:
            return infos
        own = self.buses_by_log([info.log for info in infos])
        return [info for info in infos if info.log in own]

    async def watched_logs(self) -> list[str]:
        """The viewer's logs, and those of its buses that have had no event yet.

        Of the default buses without one, those of the server's own region.
        """
        logs = [info.log for info in await self.logs()]
        logs += [bus.log for bus in self._services.catalog.list(EventBus, "bus:")]
        running = self._services.running()
        if running is not None:
            accounts = [each.id for each in self._services.accounts.every()]
            logs += [default_log(account, running.region) for account in accounts]
        own = self.buses_by_log(logs)
        return [log for log in dict.fromkeys(logs) if log in own]

    async def ledgers(self) -> Sequence[tuple[LogInfo, BusRef | None, Ledger]]:
        """How each log balances, and whose it is: None once the bus was deleted, and for a replay's."""
        infos = await self.logs()
        buses = self.buses_by_log([info.log for info in infos])
        return [
            (
                info,
                None if info.log.startswith(REPLAY_LOGS) else buses.get(info.log),
                await self._services.store.ledger(info.log),
            )
            for info in infos
        ]


def _default_bus(log: str) -> BusRef | None:
    kind, _, rest = log.partition(":")
    account, _, region = rest.partition(":")
    if kind != arns.DEFAULT_BUS or not region:
        return None
    return BusRef(account=account, region=region, name=arns.DEFAULT_BUS)
