"""What one viewer may see of a node.

A query that accounts may ask is given a `Sight` in place of the node's services, so whatever it reads is
already the viewer's: no query can forget to ask whose something is. What is whose:

* a bus, its log, its events and the logs of its replays are the bus's owner's;
* a rule is the account's that made it, which need not be the bus's: its deliveries are that account's, even
  on another's bus. Once a rule is gone, they are the account's that owns both the bus and the target;
* a partner source is the customer's that it is offered to; its partner sees that it is there, its state and
  counts, and the texts of errors only if the customer shares them.

The operator sees everything.
"""

from collections.abc import Awaitable, Callable

import msgspec

from partnerbus.api.admin.request import AdminServices, AnyRoute, Request
from partnerbus.api.admin.sight_deliveries import DeliverySight, Page
from partnerbus.api.admin.sight_registry import BusRef
from partnerbus.api.admin.viewer import Viewer

__all__ = ["BusRef", "Page", "Sight", "ViewRoute"]


class Sight(DeliverySight):
    """The node as `viewer` may see it: its resources and logs, its events, its deliveries."""


class ViewRoute(AnyRoute, frozen=True):
    """A route for whoever looks: its handler sees what the viewer may see, and nothing else."""

    handler: Callable[[Sight, Request], Awaitable[msgspec.Struct]]

    async def run(self, services: AdminServices, viewer: Viewer, request: Request) -> msgspec.Struct:
        return await self.handler(Sight(services, viewer), request)
