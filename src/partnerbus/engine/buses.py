"""Removing a bus: its rules go with it, also those that are put or changed while it goes."""

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.model.resources import EventBus, Rule, rule_key


async def remove_bus(catalog: Catalog, bus: EventBus) -> None:
    """Remove a bus that was read as `bus`; `RevisionConflict` if it is no longer that.

    Whoever calls has seen that it has no rules. One that was put since then must not wait for a later bus of
    the same name, so it goes too, as if it had come first. (One that is put later still is undone by
    `PutRule`, which looks for the bus once more.)
    """
    await catalog.remove(bus)
    for rule in list(catalog.list(Rule, rule_key(bus.account, bus.region, bus.name, ""))):
        await _remove_rule(catalog, rule.key)


async def _remove_rule(catalog: Catalog, key: str) -> None:
    """A change that was under way may come first; without its bus the rule can be changed but once."""
    while (rule := catalog.get(Rule, key)) is not None:
        try:
            await catalog.remove(rule)
        except RevisionConflict:
            continue
