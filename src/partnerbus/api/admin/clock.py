"""The node's clock. Only one that was started with a test clock can be moved."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from partnerbus.api.admin.request import AdminRefused, AdminServices, Request, Route

LONGEST_SECONDS = 10 * 366 * 86_400
"""How far one call may move the clock."""


class ClockView(msgspec.Struct, frozen=True, kw_only=True):
    now: datetime


class Advance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    seconds: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_SECONDS)]


async def show_clock(services: AdminServices, _request: Request) -> ClockView:
    return ClockView(now=services.clock.now())


async def advance_clock(services: AdminServices, request: Request) -> ClockView:
    if services.running() is None:
        raise AdminRefused("no server runs on this folder, so there is no clock to move", 409)
    if services.shift is None:
        raise AdminRefused("this server's clock cannot be moved; start it with --test-clock", 409)
    services.shift(timedelta(seconds=request.body_as(Advance).seconds))
    return ClockView(now=services.clock.now())


ROUTES = (
    Route("GET", "/clock", show_clock),
    Route("POST", "/clock/advance", advance_clock, body=Advance),
)
