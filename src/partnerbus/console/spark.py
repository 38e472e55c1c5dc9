"""Sparklines: the last hour in sixty bars, drawn by the server."""

from collections.abc import Sequence

import msgspec

from partnerbus.engine.tallies import Minute

HEIGHT = 40
BAR = 4
GAP = 1


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One minute: where its bar stands, and how high its two parts are."""

    x: int
    delivered_y: float
    delivered_height: float
    failed_y: float
    failed_height: float


class Sparkline(msgspec.Struct, frozen=True, kw_only=True):
    """Bars in a box, and in words what they show."""

    width: int
    height: int
    bars: Sequence[Bar]
    delivered: int
    failed: int
    most: int

    @property
    def words(self) -> str:
        return f"Attempts in the last hour: {self.delivered:,} delivered, {self.failed:,} failed."


def sparkline(minutes: Sequence[Minute]) -> Sparkline:
    """Failed attempts stand below those that delivered, so that they are seen however few they are."""
    most = max((each.delivered + each.failed for each in minutes), default=0)
    return Sparkline(
        width=max(1, len(minutes)) * (BAR + GAP),
        height=HEIGHT,
        bars=[
            _bar(number, each, most) for number, each in enumerate(minutes) if each.delivered or each.failed
        ],
        delivered=sum(each.delivered for each in minutes),
        failed=sum(each.failed for each in minutes),
        most=most,
    )


def _bar(number: int, minute: Minute, most: int) -> Bar:
    failed = _height(minute.failed, most)
    delivered = min(_height(minute.delivered, most), HEIGHT - failed)
    return Bar(
        x=number * (BAR + GAP),
        failed_y=HEIGHT - failed,
        failed_height=failed,
        delivered_y=HEIGHT - failed - delivered,
        delivered_height=delivered,
    )


def _height(count: int, most: int) -> float:
    return round(max(2.0, HEIGHT * count / most), 1) if count else 0.0
