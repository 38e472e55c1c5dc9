"""Refusals as the wire knows them: a code, an HTTP status, a sentence."""

from typing import Never

from partnerbus.kernel.errors import PartnerbusError


class ApiError(PartnerbusError):
    """A documented refusal of a whole request. `code` is what SDKs test (`__type` on the wire)."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)


def not_found(message: str) -> ApiError:
    return ApiError("ResourceNotFoundException", message)


def already_exists(message: str) -> ApiError:
    return ApiError("ResourceAlreadyExistsException", message)


def invalid_state(message: str) -> ApiError:
    return ApiError("InvalidStateException", message)


def limit_exceeded() -> ApiError:
    return ApiError("LimitExceededException", "The requested resource exceeds the maximum number allowed.")


def access_denied(message: str) -> ApiError:
    return ApiError("AccessDeniedException", message)


def refuse(error: ApiError) -> Never:
    """Raise, in places where only an expression fits."""
    raise error
