"""AWS JSON 1.1: one request in, one answer out.

The order is: what is asked (target and content type), who asks as far as the head tells, the body within its
limit, the signature, whether the caller calls too often, then the operation. Every answer carries a request
id and the time; an error carries its code both in the body and in a header, since SDKs differ in where they
look.
"""

import time
from functools import lru_cache

from partnerbus.api.contract import TARGET_PREFIX
from partnerbus.api.errors import ApiError
from partnerbus.api.face import Answer, AnyFace, internal_failure, refusal, throttled, unknown_operation
from partnerbus.api.operation import Call
from partnerbus.api.throttling import Throttle
from partnerbus.edge.answers import DateHeader, Header, Send, send_answer
from partnerbus.edge.authenticate import Authenticator, Caller
from partnerbus.edge.body import BodyReader, Disconnected, Receive, decoded
from partnerbus.edge.head import RequestHead
from partnerbus.kernel.failpoints import Failpoint, Failpoints
from partnerbus.kernel.ids import Ids
from partnerbus.kernel.telemetry import Log, Metrics

CONTENT_TYPE = "application/x-amz-json-1.1"
COUNTERS_REMEMBERED = 1_024
UNKNOWN = "unknown"
"""How metrics call an operation that the service does not have."""


def body_limit(entries_bytes: int) -> int:
    """The largest body for entries of so many bytes: JSON may write a byte as six (`\\u0000`)."""
    return 6 * entries_bytes + 64 * 1024


class AwsJson:
    """Serves `POST /`."""

    def __init__(
        self,
        face: AnyFace,
        authenticator: Authenticator,
        *,
        bodies: BodyReader,
        largest_body: int,
        date: DateHeader,
        failpoints: Failpoints,
        metrics: Metrics,
        log: Log,
        throttle: Throttle | None = None,
    ) -> None:
        self._throttle = throttle
        self._face = face
        self._authenticator = authenticator
        self._bodies = bodies
        self._largest_body = largest_body
        self._date = date
        self._failpoints = failpoints
        self._count_of = lru_cache(COUNTERS_REMEMBERED)(metrics.requests.labels)
        self._seconds_of = lru_cache(COUNTERS_REMEMBERED)(metrics.request_seconds.labels)
        self._log = log
        self._ids = Ids()

    async def serve(self, head: RequestHead, receive: Receive, send: Send) -> None:
        """Answer one request, unless the caller goes away first."""
        request_id = self._ids.random()
        operation = requested_operation(head)
        exchange = _Exchange(request_id, operation)
        try:
            answer = await self._answer(exchange, head, receive)
        except Disconnected:
            return
        self._count(exchange, answer)
        await send_answer(send, answer.status, answer.body, self._headers(request_id, answer))

    async def _answer(self, exchange: "_Exchange", head: RequestHead, receive: Receive) -> Answer:
        try:
            answer = await self._perform(exchange, head, receive)
            self._failpoints.hit(Failpoint.EDGE_BEFORE_ANSWER)
            return answer
        except ApiError as error:
            return refusal(error)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the caller gets an answer
            self._log.error(
                "request failed", request_id=exchange.request_id, operation=exchange.operation, exc_info=error
            )
            return refusal(internal_failure(exchange.request_id))

    async def _perform(self, exchange: "_Exchange", head: RequestHead, receive: Receive) -> Answer:
        self._check_asked(exchange.operation, head)
        arrived = self._authenticator.read(head)
        async with self._bodies.read(head, receive, self._largest_body) as body:
            exchange.restart()
            self._failpoints.hit(Failpoint.EDGE_REQUEST_READ)
            caller = arrived.confirm(body)
            self._check_rate(exchange.operation, caller)
            call = Call(
                request_id=exchange.request_id,
                operation=exchange.operation,
                account=caller.account,
                region=caller.region,
                partner=caller.partner,
                any_partner=caller.any_partner,
                signed_for=caller.signed_for,
            )
            return await self._face.answer(call, decoded(head, body, self._largest_body))

    def _check_asked(self, operation: str, head: RequestHead) -> None:
        if not self._face.knows(operation):
            raise unknown_operation(f"X-Amz-Target names no operation of {TARGET_PREFIX}.")
        media_type = (head.one(b"content-type") or "").partition(";")[0].strip().lower()
        if media_type != CONTENT_TYPE:
            raise unknown_operation(f"The Content-Type of a request must be {CONTENT_TYPE}.")

    def _check_rate(self, operation: str, caller: Caller) -> None:
        """Refuse a call too many before its body is decoded; the signature has said whose token it takes."""
        if self._throttle is not None and not self._throttle.admits(caller.account, caller.region, operation):
            raise throttled()

    def _headers(self, request_id: str, answer: Answer) -> list[Header]:
        headers = [
            (b"x-amzn-requestid", request_id.encode()),
            (b"content-type", CONTENT_TYPE.encode()),
            self._date.now(),
        ]
        if answer.error is not None:
            headers.append((b"x-amzn-errortype", answer.error.encode()))
        return headers

    def _count(self, exchange: "_Exchange", answer: Answer) -> None:
        operation = exchange.operation if self._face.knows(exchange.operation) else UNKNOWN
        self._count_of(operation, str(answer.status), answer.error or "").inc()
        self._seconds_of(operation).observe(exchange.elapsed_seconds())


class _Exchange:
    """What is known of a request while it is answered."""

    def __init__(self, request_id: str, operation: str) -> None:
        self.request_id = request_id
        self.operation = operation
        self._since = time.perf_counter()

    def restart(self) -> None:
        """The request's last byte is here: its time counts from now."""
        self._since = time.perf_counter()

    def elapsed_seconds(self) -> float:
        return time.perf_counter() - self._since


def requested_operation(head: RequestHead) -> str:
    """The operation that `X-Amz-Target` names; empty if it names none."""
    prefix, _, operation = (head.one(b"x-amz-target") or "").partition(".")
    return operation if prefix == TARGET_PREFIX else ""
