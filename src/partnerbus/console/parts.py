"""What the console is made of."""

import asyncio
from collections.abc import Callable

import msgspec

from partnerbus.api.admin import Admin
from partnerbus.api.face import AnyFace
from partnerbus.console.attempts import Attempts
from partnerbus.console.doorkeeper import Doorkeeper
from partnerbus.console.sessions import Sessions
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.telemetry import Log


class ConsoleParts(msgspec.Struct, frozen=True, kw_only=True):
    """What pages work with. `region` is where things are made if nothing else is said.

    `leaving` is set once the node is about to stop; what streams ends then. `url` is where the node listens.
    """

    admin: Admin
    face: AnyFace
    doorkeeper: Doorkeeper
    clock: Clock
    region: str
    leaving: asyncio.Event
    log: Log
    url: Callable[[], str]
    sessions: Sessions
    attempts: Attempts
