"""Lists of things with an ARN, in pages."""

from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import TypeVar

T = TypeVar("T")


def page_by_arn(
    every: Iterable[T], after: str | None, limit: int, arn_of: Callable[[T], str]
) -> tuple[list[T], str | None]:
    """A page of what is listed by ARN, and the `after` of the next; things of one ARN are on one page."""
    behind = sorted((each for each in every if after is None or arn_of(each) > after), key=arn_of)
    found = behind[:limit]
    found += takewhile(lambda each: arn_of(each) == arn_of(found[-1]), behind[limit:])
    return found, arn_of(found[-1]) if len(behind) > len(found) else None
