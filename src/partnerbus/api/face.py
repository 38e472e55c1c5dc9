"""The v1 face: an operation's name and a body go in, a status and a body come out.

Nothing leaves here as an exception. A refusal is an answer with a code; what nobody expected is logged with
the request's id and answered as an `InternalException` that tells nothing of the inside.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from partnerbus.api.contract import OperationContract, load_contract
from partnerbus.api.errors import ApiError
from partnerbus.api.operation import Call, Operation, Output, Services
from partnerbus.api.reading import Reader
from partnerbus.kernel.errors import RevisionConflict, StoreOverloaded
from partnerbus.kernel.telemetry import Log, make_log

UNKNOWN_OPERATION_STATUS = 404
"""Documented for `UnknownOperationException` (other JSON services answer 400)."""

NOT_SUPPORTED = "OperationNotSupportedException"
"""For an operation that the service has and this server has not (ours). Sent with 400, so that no SDK tries
again."""

_encode = msgspec.json.Encoder().encode


class Answer(msgspec.Struct, frozen=True):
    """What goes back: HTTP status, JSON body, and the error's code if it is one."""

    status: int
    body: bytes
    error: str | None = None


def refusal(error: ApiError) -> Answer:
    """An error as the wire has it."""
    return Answer(error.status, _encode({"__type": error.code, "message": error.message}), error.code)


def throttled() -> ApiError:
    """More than this server can take right now; SDKs wait and try again."""
    return ApiError("ThrottlingException", "Rate exceeded")


def unknown_operation(message: str) -> ApiError:
    return ApiError("UnknownOperationException", message, UNKNOWN_OPERATION_STATUS)


def internal_failure(request_id: str) -> ApiError:
    """What a caller learns of a failure inside: where to look, nothing else."""
    return ApiError(
        "InternalException", f"The request failed inside the server; its id is {request_id}.", 500
    )


class AnyFace(Protocol):
    """Answers operations."""

    def knows(self, operation: str) -> bool:
        """Whether the service has an operation of that name."""

    async def answer(self, call: Call, body: bytes) -> Answer:
        """Answer one request whose caller is known."""


class Face:
    """Answers the operations of the contract with the handlers it was given."""

    def __init__(
        self, services: Services, operations: Mapping[str, Operation], *, log: Log | None = None
    ) -> None:
        self._services = services
        self._operations = operations
        self._contract = load_contract()
        self._readers: dict[str, Reader] = {}
        self._log = log or make_log()

    def knows(self, operation: str) -> bool:
        """Whether the service has an operation of that name."""
        return operation in self._contract

    async def answer(self, call: Call, body: bytes) -> Answer:
        """Answer one request whose caller is known."""
        try:
            return await self._answer(call, body)
        except ApiError as error:
            return refusal(error)
        except StoreOverloaded:
            return refusal(throttled())
        except RevisionConflict:
            return refusal(self._conflict(call.operation))
        except Exception as error:  # noqa: BLE001 - whatever it was, the caller gets an answer
            self._log.error(
                "request failed", request_id=call.request_id, operation=call.operation, exc_info=error
            )
            return refusal(internal_failure(call.request_id))

    async def _answer(self, call: Call, body: bytes) -> Answer:
        contract = self._contract.get(call.operation)
        if contract is None:
            raise unknown_operation(f"There is no operation {call.operation[:64]}.")
        operation = self._operations.get(call.operation)
        if operation is None:
            raise ApiError(NOT_SUPPORTED, f"The operation {call.operation} is not supported by this server.")
        request = self._reader(contract, operation).read(body)
        if not operation.carries_events:
            await self._services.catch_up()  # the caller may have been answered by another node just before
        output = await operation.run(self._services, call, request)
        return Answer(200, _encoded(contract, output))

    def _reader(self, contract: OperationContract, operation: Operation) -> Reader:
        found = self._readers.get(contract.name)
        if found is None:
            found = self._readers[contract.name] = Reader(contract, operation)
        return found

    def _conflict(self, operation: str) -> ApiError:
        if "ConcurrentModificationException" not in self._contract[operation].errors:
            return throttled()
        return ApiError(
            "ConcurrentModificationException", "The resource was changed by another request; try again."
        )


def _encoded(contract: OperationContract, output: Output | None) -> bytes:
    if contract.output is None:
        return b""
    return b"{}" if output is None else _encode(output)
