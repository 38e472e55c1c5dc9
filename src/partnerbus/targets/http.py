"""API destinations: HTTP endpoints with a connection that says how to authorize."""

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import (
    ApiDestination,
    HttpParameters,
    Rule,
    Target,
)
from partnerbus.targets.authorization import OpenConnection, Opener
from partnerbus.targets.http_answer import judge
from partnerbus.targets.http_request import BadRequest, RequestParts, Requests, path_wildcards
from partnerbus.targets.invoker import Invocation, Lookup
from partnerbus.targets.outbound import Outbound, OutboundFailure, failure_reply
from partnerbus.targets.tokens import TokenFailure

INACTIVE = "The API destination is inactive: its connection is gone or was deauthorized."
MORE_STARS = "The API destination's URL has more * than HttpParameters has path parameter values."
"""Assumed: as the URL stands, no request could be made."""

NO_PARAMETERS = HttpParameters()


class HttpInvoker:
    """Sends a target's input to its API destination."""

    kind = "http"

    def __init__(self, lookup: Lookup, opener: Opener, outbound: Outbound, clock: Clock) -> None:
        self._lookup = lookup
        self._opener = opener
        self._outbound = outbound
        self._clock = clock
        self._requests = Requests()

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """The destination must exist when a target names it, and each `*` of its URL have a value.

        It carries its owner's credentials: rules of others may not use it, nor learn whether it exists.
        """
        found = self._lookup.api_destination_by_arn(target.arn)
        if found is None or (found.account, found.region) != (rule.created_by, rule.region):
            return "The API destination does not exist."
        given = len((target.http or NO_PARAMETERS).path_values)
        return MORE_STARS if path_wildcards(found.url) > given else None

    async def invoke(self, invocation: Invocation) -> Reply:
        """Make the request and judge the answer."""
        destination = self._lookup.api_destination_by_arn(invocation.target.arn)
        if destination is None:
            return Reply(error=ErrorCode.NO_RESOURCE, message="The API destination does not exist.")
        if destination.account != invocation.rule.created_by:
            return Reply(
                error=ErrorCode.NO_PERMISSIONS, message="The API destination belongs to another account."
            )
        try:
            opened = await self._open(destination)
            if isinstance(opened, Reply):
                return opened
            return await self._send(invocation, destination, opened)
        except BadRequest as error:
            return Reply(error=ErrorCode.INVALID_PARAMETER, message=str(error))
        except ConfigurationError as error:
            return Reply(error=ErrorCode.INTERNAL_ERROR, message=str(error), retryable=True)

    async def _open(self, destination: ApiDestination) -> OpenConnection | Reply:
        """The destination's connection, or the end of the attempt.

        An OAuth connection whose last exchange failed is tried again: it may have been mended.
        """
        connection = self._lookup.connection_by_arn(destination.connection_arn)
        if connection is None or connection.account != destination.account or not connection.has_credentials:
            return Reply(error=ErrorCode.NO_RESOURCE, message=INACTIVE)
        opened = await self._opener.open(connection)
        if isinstance(opened, TokenFailure):
            return Reply(error=opened.error, message=opened.message, retryable=opened.retryable)
        return opened

    async def _send(
        self, invocation: Invocation, destination: ApiDestination, opened: OpenConnection
    ) -> Reply:
        parts = RequestParts(
            method=destination.method,
            url=destination.url,
            target=invocation.target.http or NO_PARAMETERS,
            parameters=opened.parameters,
            authorization=opened.authorization,
            tls=opened.tls,
        )
        request = self._requests.make(
            invocation.target.subscription, parts, invocation.payload, invocation.record.event
        )
        answer = await self._outbound.send(request)
        invocation.wire.note(request, answer, opened.secrets)
        if isinstance(answer, OutboundFailure):
            return failure_reply(answer)
        self._opener.judge(opened, answer.status)
        return judge(answer, "The API destination", self._clock, opened.secrets)
