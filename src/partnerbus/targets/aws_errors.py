"""What an error that an AWS service answered means for a delivery.

Throttling, conflicts, exhausted quotas and failures of the service pass, so they are tried again; a missing
resource or permission and a request that the service does not understand do not, so they go straight to the
dead letters (documented). Services name the same trouble in many ways: families are known by patterns.
"""

import re
from collections.abc import Mapping, Sequence
from typing import cast

from partnerbus.model.reply import ACCEPTED, BODY_HEAD_BYTES, ErrorCode, Reply

Output = Mapping[str, object]

NAME_CHARACTERS = 128
"""How much of an error's name is looked at."""

_FAMILIES: tuple[tuple[re.Pattern[str], ErrorCode, bool], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), error, retryable)
    for pattern, error, retryable in (
        (
            r".*throttl.*|SlowDown|OverLimit|TooManyRequests(Exception)?|RequestLimitExceeded"
            r"|LimitExceeded(Exception)?|(Provisioned)?Throughput\w+",
            ErrorCode.THROTTLING,
            True,
        ),
        (r"ExpiredToken(Exception)?|RequestExpired", ErrorCode.NO_PERMISSIONS, True),
        (r".*Timeout(Exception)?", ErrorCode.TIMEOUT, True),
        (r".*(LimitExceeded|LimitReached|Exceeded)(Exception)?", ErrorCode.RESOURCE_LIMIT_EXCEEDED, True),
        (r".*AlreadyExists(Exception)?", ErrorCode.RESOURCE_ALREADY_EXISTS, False),
        # Keys need their owner's hand (documented), also where the service answers 502 for them.
        (r"KMS\w*AccessDenied(Exception)?", ErrorCode.NO_PERMISSIONS, False),
        (r"KMS\w+", ErrorCode.ERROR_FROM_TARGET, False),
        (
            r"AWS\.SimpleQueueService\.NonExistentQueue|.*NotFound(Exception)?|.*DoesNotExist"
            r"|StateMachineDeleting|InvalidDocument(Version)?",
            ErrorCode.NO_RESOURCE,
            False,
        ),
        (
            r".*AccessDenied(Exception)?|AuthFailure|AuthorizationError(Exception)?|InvalidAccessKeyId"
            r"|InvalidClientTokenId|InvalidSignature(Exception)?|OptInRequired|SignatureDoesNotMatch"
            r"|UnrecognizedClient(Exception)?|Unauthorized(Exception)?",
            ErrorCode.NO_PERMISSIONS,
            False,
        ),
        (
            r"(Resource)?ConflictException|ResourceNotReadyException",
            ErrorCode.RESOURCE_MODIFICATION_COLLISION,
            True,
        ),
        (
            r"Internal\w*|Service(Unavailable)?(Exception|Error)?|ServerException",
            ErrorCode.ERROR_FROM_TARGET,
            True,
        ),
    )
)
"""Families of error names, what each means, and whether it is worth another attempt. The first one counts."""


def error_reply(output: Output, status: int) -> Reply:
    """What an error means, as botocore read it from an answer with HTTP status `status`."""
    error = cast(Mapping[str, str], output.get("Error", {}))
    names = (error.get("QueryErrorCode", ""), error.get("Code", ""))
    return named_error(names, error.get("Message", ""), status)


def named_error(names: tuple[str, ...], text: str, status: int) -> Reply:
    """What an error means that goes by `names`."""
    names = tuple(name[:NAME_CHARACTERS] for name in names)
    code, retryable = _judge(names, status)
    message = f"{names[-1] or 'Error'}: {text}"[:BODY_HEAD_BYTES]
    return Reply(error=code, message=message, retryable=retryable, status=status)


def entry_reply(entry: Mapping[str, object], code: str, text: str) -> Reply:
    """The reply of one entry in the answer of a call for many; `code` and `text` name its members.

    An entry with a code failed. It is the sender's fault unless the service says otherwise.
    """
    name = entry.get(code)
    if not name:
        return ACCEPTED
    status = 400 if entry.get("SenderFault", True) else 500
    return named_error((str(name),), str(entry.get(text) or ""), status)


def entry_replies(output: Output, count: int) -> list[Reply]:
    """The replies of `count` entries whose ids are "0", "1", …, from `Successful` and `Failed`.

    One of which the service says nothing is sent again.
    """
    entries = (*_entries(output, "Successful"), *_entries(output, "Failed"))
    replies = {entry.get("Id"): entry_reply(entry, "Code", "Message") for entry in entries}
    return [replies.get(str(at), unreadable(200)) for at in range(count)]


def _entries(output: Output, name: str) -> Sequence[Mapping[str, object]]:
    return cast(Sequence[Mapping[str, object]], output.get(name) or ())


def unreadable(status: int) -> Reply:
    """For an answer that is not the service's, such as a gateway's."""
    return Reply(
        error=ErrorCode.ERROR_FROM_TARGET,
        message="The answer is not one of the AWS service.",
        retryable=True,
        status=status,
    )


def _judge(names: tuple[str, ...], status: int) -> tuple[ErrorCode, bool]:
    if status == 429:
        return ErrorCode.THROTTLING, True
    for pattern, error, retryable in _FAMILIES:
        if any(pattern.fullmatch(name) for name in names):
            return error, retryable
    if status in (401, 403):
        return ErrorCode.NO_PERMISSIONS, False
    if status >= 500:
        return ErrorCode.ERROR_FROM_TARGET, True
    return ErrorCode.SDK_CLIENT_ERROR, False
