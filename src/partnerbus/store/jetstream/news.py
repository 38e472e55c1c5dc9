"""What a command of another node means for the routers and lanes of this one."""

from collections.abc import Callable
from typing import Any

from partnerbus.model.delivery import DeliveryState, Record
from partnerbus.store.embedded.dead_letters import REDRIVE
from partnerbus.store.embedded.deliveries import SETTLE
from partnerbus.store.embedded.records import APPEND
from partnerbus.store.embedded.routing import ADVANCE
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.jetstream.nodes import RELEASE
from partnerbus.store.jetstream.read_model import Run
from partnerbus.store.protocol import News


def tell(news: News, run: Run) -> None:
    """Tell of a command that was run."""
    found = _TELL.get(run.verb)
    if found is not None:
        found(news, run)


def _stored(news: News, run: Run) -> None:
    newest: dict[str, Record] = {record.log: record for record in run.result}
    for log, record in newest.items():
        news.stored(log, record.position)


def _owed(news: News, run: Run) -> None:
    for lane in {new.lane for new in run.argument.owed if not new.claimed}:
        news.owed(lane)


def _settled(news: News, run: Run) -> None:
    claim, settlement = run.argument.claim, run.argument.settlement
    if not run.result:
        return
    if settlement.state is DeliveryState.OWED:
        news.owed_again(claim.subscription, settlement.due_at)
    elif claim.key is not None:
        news.owed_again(claim.subscription, None)


def _released(news: News, run: Run) -> None:
    for lane in run.result:
        news.owed(lane)


def _redriven(news: News, _: Run) -> None:
    news.redriven()


_TELL: dict[Verb[Any, Any], Callable[[News, Run], None]] = {
    APPEND: _stored,
    ADVANCE: _owed,
    SETTLE: _settled,
    RELEASE: _released,
    REDRIVE: _redriven,
}
