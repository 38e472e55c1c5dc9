"""The admin face: finds the route, runs it, answers in JSON.

An answer that is not 2xx is `{"error": "a sentence"}`.
"""

from collections.abc import Mapping, Sequence

import msgspec

from partnerbus.api.admin import (
    AdminAnswer,
    accounts,
    archives,
    backtests,
    bus_logs,
    buses,
    clock,
    connections,
    deliveries,
    destinations,
    endpoints,
    events,
    health,
    logs,
    patterns,
    quotas,
    redriving,
    reset,
    sources,
    status,
    tail,
    targets,
    traces,
    verdicts,
    webhooks,
)
from partnerbus.api.admin.openapi import with_description
from partnerbus.api.admin.request import AdminRefused, AdminServices, AnyRoute, ErrorBody, Request
from partnerbus.api.admin.viewer import Viewer
from partnerbus.engine.accounts import AccountExists, AccountNotFound, AccountRefused
from partnerbus.kernel.errors import PartnerbusError, RevisionConflict, StoreError

ROUTES: Sequence[AnyRoute] = with_description(
    (
        *accounts.ROUTES,
        *archives.ROUTES,
        *backtests.ROUTES,
        *bus_logs.ROUTES,
        *buses.ROUTES,
        *clock.ROUTES,
        *connections.ROUTES,
        *deliveries.ROUTES,
        *destinations.ROUTES,
        *endpoints.ROUTES,
        *events.ROUTES,
        *health.ROUTES,
        *logs.ROUTES,
        *patterns.ROUTES,
        *quotas.ROUTES,
        *redriving.ROUTES,
        *reset.ROUTES,
        *sources.ROUTES,
        *status.ROUTES,
        *tail.ROUTES,
        *targets.ROUTES,
        *traces.ROUTES,
        *verdicts.ROUTES,
        *webhooks.ROUTES,
    )
)


ONLY_LOOKS = "who looks as another account changes nothing"


class AdminFace:
    """The admin face of a running node, or of a folder that a command has opened."""

    def __init__(self, services: AdminServices, routes: Sequence[AnyRoute] = ROUTES) -> None:
        self._services = services
        self._routes = routes

    async def answer(
        self, viewer: Viewer, method: str, path: str, query: Mapping[str, str], body: bytes
    ) -> AdminAnswer:
        """Answer a request of `viewer`; whoever calls has made sure that it is."""
        try:
            route, named = self._find(method, path)
            if viewer.only_looks and route.changes:
                raise AdminRefused(ONLY_LOOKS, 403)
            view = await route.run(self._services, viewer, Request(route, named, query, body))
        except PartnerbusError as error:
            return AdminAnswer(_status(error), msgspec.json.encode(ErrorBody(str(error))))
        return AdminAnswer(200, msgspec.json.encode(view))

    def _find(self, method: str, path: str) -> tuple[AnyRoute, Mapping[str, str]]:
        found = [(route, named) for route in self._routes if (named := route.match(path)) is not None]
        for route, named in found:
            if route.method == method:
                return route, named
        if found:
            raise AdminRefused(f"{path} does not take {method}", 405)
        raise AdminRefused(f"there is no {path}", 404)


def _status(error: PartnerbusError) -> int:
    match error:
        case AdminRefused():
            return error.status
        case AccountNotFound():
            return 404
        case AccountExists() | RevisionConflict():
            return 409
        case AccountRefused():
            return 400
        case StoreError():
            return 503
    return 500
