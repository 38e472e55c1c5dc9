"""What a target answered: a value, whether it went well or not."""

from datetime import timedelta
from enum import StrEnum

import msgspec

BODY_HEAD_BYTES = 1_024
"""How much of a target's answer is kept for people to read."""


class ErrorCode(StrEnum):
    """The codes of the service's dead letters that we give."""

    CONNECTION_FAILURE = "CONNECTION_FAILURE"
    CROSS_ACCOUNT_INGESTION_FAILED = "CROSS_ACCOUNT_INGESTION_FAILED"
    CROSS_REGION_INGESTION_FAILED = "CROSS_REGION_INGESTION_FAILED"
    ERROR_FROM_TARGET = "ERROR_FROM_TARGET"
    EVENTS_IN_BATCH_REQUEST_REJECTED = "EVENTS_IN_BATCH_REQUEST_REJECTED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    INVALID_JSON = "INVALID_JSON"
    INVALID_PARAMETER = "INVALID_PARAMETER"
    NO_PERMISSIONS = "NO_PERMISSIONS"
    NO_RESOURCE = "NO_RESOURCE"
    RESOURCE_ALREADY_EXISTS = "RESOURCE_ALREADY_EXISTS"
    RESOURCE_LIMIT_EXCEEDED = "RESOURCE_LIMIT_EXCEEDED"
    RESOURCE_MODIFICATION_COLLISION = "RESOURCE_MODIFICATION_COLLISION"
    SDK_CLIENT_ERROR = "SDK_CLIENT_ERROR"
    THIRD_ACCOUNT_HOP_DETECTED = "THIRD_ACCOUNT_HOP_DETECTED"
    THROTTLING = "THROTTLING"
    TIMEOUT = "TIMEOUT"
    UNKNOWN = "UNKNOWN"


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The end of one attempt.

    `error` is None if the target took the event. `retryable` says whether trying again can help;
    `retry_after` is the target's own wish (negative: it wishes no more). `message` never holds a secret.
    """

    error: ErrorCode | None = None
    message: str = ""
    retryable: bool = False
    status: int | None = None
    retry_after: timedelta | None = None
    body_head: str = ""

    @property
    def accepted(self) -> bool:
        return self.error is None


ACCEPTED = Reply()
