"""A clean slate for test runs. Only a server that was started for it has one."""

from datetime import datetime

import msgspec

from partnerbus.api.admin.request import AdminRefused, AdminServices, Request, Route

RESET_PATH = "/reset"


class ResetDone(msgspec.Struct, frozen=True, kw_only=True):
    """Everything was forgotten, save accounts with their quotas and keys."""

    reset_at: datetime


async def reset(services: AdminServices, _request: Request) -> ResetDone:
    if services.running() is None:
        raise AdminRefused("no server runs on this folder; delete it, and nothing is left of it", 409)
    if services.reset is None:
        raise AdminRefused("this server forgets nothing; start it with --allow-reset", 403)
    await services.reset()
    return ResetDone(reset_at=services.clock.now())


ROUTES = (Route("POST", RESET_PATH, reset),)
