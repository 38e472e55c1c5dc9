"""Archives and their rules, written so that no crash leaves a rule without its archive.

The router fills an archive because the archive is there. Its managed rule is only how the bus's owner sees
it: it has no targets, counts among the rules of the bus, and keeps the bus from being deleted. It is written
after its archive and removed before it; what a crash left out, the next change of the archive makes good.
"""

import msgspec

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.model.resources import MANAGED_BY, Archive, Rule, RuleState, rule_key


async def create_archive(catalog: Catalog, archive: Archive) -> bool:
    """Add an archive and its rule; False, and nothing is there, if its bus was deleted meanwhile.

    `RevisionConflict` if the name is taken.
    """
    await catalog.create(archive)
    await _put_rule(catalog, archive)
    bus = catalog.bus(archive.account, archive.region, archive.bus)
    if bus is None or bus.log != archive.bus_log:
        await remove_archive(catalog, archive)
        return False
    return True


async def change_archive(catalog: Catalog, before: Archive, after: Archive) -> None:
    """Change an archive that was read as `before`; `RevisionConflict` if it is no longer that."""
    await catalog.replace(before, after)
    await _put_rule(catalog, after)


async def remove_archive(catalog: Catalog, archive: Archive) -> None:
    """Remove an archive that was read as `archive`; `RevisionConflict` if it is no longer that.

    Its records are forgotten by the next sweep of `Retention`.
    """
    rule = _rule(catalog, archive)
    if rule is not None and rule.managed_by == MANAGED_BY:
        await catalog.remove(rule)
    await catalog.remove(archive)


async def _put_rule(catalog: Catalog, archive: Archive) -> None:
    """Let the rule be there as it should be. A rule of that name which is the owner's own stays."""
    while True:
        before = _rule(catalog, archive)
        try:
            if before is None:
                return await catalog.create(_new_rule(archive))
            if before.managed_by == MANAGED_BY and before.pattern != archive.rule_pattern:
                after = msgspec.structs.replace(before, pattern=archive.rule_pattern)
                return await catalog.replace(before, after)
        except RevisionConflict:
            continue  # somebody else was writing it
        return None


def _rule(catalog: Catalog, archive: Archive) -> Rule | None:
    key = rule_key(archive.account, archive.region, archive.bus, archive.rule_name)
    return catalog.get(Rule, key)


def _new_rule(archive: Archive) -> Rule:
    return Rule(
        account=archive.account,
        region=archive.region,
        bus=archive.bus,
        name=archive.rule_name,
        state=RuleState.ENABLED,
        created_by=archive.account,
        created_at=archive.created_at,
        pattern=archive.rule_pattern,
        managed_by=MANAGED_BY,
    )
