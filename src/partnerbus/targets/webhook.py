"""Webhooks: signed requests to a URL that needs no connection.

What an answer means, which addresses are reached, and how long a call may take are as with API destinations.
"""

from partnerbus import __version__
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import Rule, Target, Webhook
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.http_answer import judge
from partnerbus.targets.invoker import Invocation, Lookup
from partnerbus.targets.outbound import Outbound, OutboundFailure, OutboundRequest, failure_reply
from partnerbus.targets.webhook_signing import signed_headers

_HEADERS = {"Content-Type": "application/json; charset=utf-8", "User-Agent": f"partnerbus/{__version__}"}

NO_SUCH_WEBHOOK = "The webhook does not exist."


class WebhookInvoker:
    """Sends a target's input to its webhook.

    `clock` is the node's. `signing_clock` is the machine's, since receivers live by it: they refuse a
    timestamp that is minutes off.
    """

    kind = "webhook"

    def __init__(
        self,
        lookup: Lookup,
        secrets: SecretBox,
        guard: AddressGuard,
        outbound: Outbound,
        clock: Clock,
        signing_clock: Clock,
    ) -> None:
        self._lookup = lookup
        self._secrets = secrets
        self._guard = guard
        self._outbound = outbound
        self._clock = clock
        self._signing_clock = signing_clock

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """The webhook must exist when a target names it, and its URL be one that may be reached from here.

        Rules of others may not use it, nor learn whether it exists.
        """
        found = self._lookup.webhook_by_arn(target.arn)
        if found is None or (found.account, found.region) != (rule.created_by, rule.region):
            return NO_SUCH_WEBHOOK
        return self._guard.url_refusal(found.url)

    async def invoke(self, invocation: Invocation) -> Reply:
        """Sign, send, and judge the answer."""
        webhook = self._lookup.webhook_by_arn(invocation.target.arn)
        if webhook is None:
            return Reply(error=ErrorCode.NO_RESOURCE, message=NO_SUCH_WEBHOOK)
        if webhook.account != invocation.rule.created_by:
            return Reply(error=ErrorCode.NO_PERMISSIONS, message="The webhook belongs to another account.")
        try:
            secrets = self._open(webhook)
        except ConfigurationError as error:
            return Reply(error=ErrorCode.INTERNAL_ERROR, message=str(error), retryable=True)
        return await self._send(webhook.url, invocation, secrets)

    def _open(self, webhook: Webhook) -> list[str]:
        now = self._clock.now()
        return [self._secrets.open(secret.sealed) for secret in webhook.secrets if secret.is_valid(now)]

    async def _send(self, url: str, invocation: Invocation, secrets: list[str]) -> Reply:
        body = invocation.payload
        signature = signed_headers(invocation.delivery_id, self._signing_clock.now(), body, secrets)
        request = OutboundRequest(method="POST", url=url, headers={**_HEADERS, **signature}, body=body)
        answer = await self._outbound.send(request)
        invocation.wire.note(request, answer, secrets)
        if isinstance(answer, OutboundFailure):
            return failure_reply(answer)
        return judge(answer, "The webhook", self._clock, secrets)
