"""Resource policies: documents of statements that decide which account may do what with a resource.

A statement applies to a request if its principal, action, resource and every condition do. One `Deny` that
applies decides; without one, an `Allow` that applies does; else the policy is silent (documented).

Not everything that a policy may say can be judged here: callers are accounts, so whether a call is a certain
user's is not known, and neither is a condition key that this node has no value for. What cannot be judged
never allows, and always denies: each part of a statement holds, does not hold, or is unknown (None).
Parsing is strict for the same reason: what has no meaning here is refused, never stored without effect.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from fnmatch import translate
from functools import lru_cache
from typing import Annotated, Literal, TypeVar

import msgspec

from partnerbus.model.arns import Arn

VERSIONS = Literal["2012-10-17", "2008-10-17"]


class Effect(StrEnum):
    ALLOW = "Allow"
    DENY = "Deny"


class Verdict(StrEnum):
    """What a policy says of a request."""

    ALLOWED = "allowed"
    DENIED = "denied"
    SILENT = "silent"


class MalformedPolicy(msgspec.Struct, frozen=True):
    """Why a text is no policy, as a sentence."""

    message: str


class AccessRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be judged: `account` wants to do `action` (`events:PutEvents`) with `resource` (an ARN).

    `context` has the values of each condition key, in lower case, that can be judged; a key with no values is
    absent from the request, and one that is None, or is not there, cannot be judged.
    """

    account: str
    action: str
    resource: str
    context: Mapping[str, tuple[str, ...] | None]


S = TypeVar("S", bound=str | float)


# -- the document as it is written -------------------------------------------------------------------------

Texts = str | Annotated[list[str], msgspec.Meta(min_length=1)]
Scalar = str | bool | int | float
Scalars = Scalar | Annotated[list[Scalar], msgspec.Meta(min_length=1)]


class _Statement(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True, kw_only=True):
    effect: Effect
    principal: str | dict[Literal["AWS", "Service"], Texts]
    action: Texts
    resource: Texts
    sid: str | None = None
    condition: dict[str, dict[str, Scalars]] = {}


class _Document(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True, kw_only=True):
    statement: _Statement | list[_Statement]
    version: VERSIONS = "2008-10-17"
    id: str | None = None


_decode = msgspec.json.Decoder(_Document).decode


class _Malformed(ValueError):
    """Raised while parsing."""


# -- the policy as it is judged ----------------------------------------------------------------------------


class _Condition(msgspec.Struct, frozen=True):
    """One operator on one key: `holds` is asked with the values that the request has for `key`."""

    key: str
    holds: Callable[[tuple[str, ...]], bool]


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement, compiled."""

    effect: Effect
    principals: Sequence[str]
    actions: Sequence[re.Pattern[str]]
    resources: Sequence[re.Pattern[str]]
    conditions: Sequence[_Condition]

    def applies(self, request: AccessRequest) -> bool | None:
        """Whether it does; None if that is unknown."""
        return _all(
            (
                _any(_is_principal(principal, request.account) for principal in self.principals),
                any(action.match(request.action.lower()) for action in self.actions),
                any(resource.match(request.resource) for resource in self.resources),
                *(_holds(condition, request.context) for condition in self.conditions),
            )
        )


class Policy(msgspec.Struct, frozen=True):
    """A policy that can be judged."""

    statements: Sequence[Statement]

    def judge(self, request: AccessRequest) -> Verdict:
        """What it says of `request`."""
        verdict = Verdict.SILENT
        for statement in self.statements:
            applies = statement.applies(request)
            if statement.effect is Effect.DENY and applies is not False:
                return Verdict.DENIED
            if statement.effect is Effect.ALLOW and applies:
                verdict = Verdict.ALLOWED
        return verdict


@lru_cache(maxsize=1_024)
def parse_policy(text: str) -> Policy | MalformedPolicy:
    """The policy in a JSON text, or what is wrong with it."""
    try:
        document = _decode(text)
        found = document.statement
        statements = found if isinstance(found, list) else [found]
        _check_sids(statements)
        return Policy(tuple(map(_statement, statements)))
    except (msgspec.MsgspecError, UnicodeError, _Malformed) as error:
        return MalformedPolicy(f"{error}.")


def _check_sids(statements: Sequence[_Statement]) -> None:
    sids = [statement.sid for statement in statements if statement.sid is not None]
    if len(set(sids)) < len(sids):
        raise _Malformed("Two statements have the same Sid")


def _statement(written: _Statement) -> Statement:
    return Statement(
        effect=written.effect,
        principals=_principals(written.principal),
        actions=[_glob(action.lower()) for action in _list(written.action)],
        resources=[_glob(resource) for resource in _list(written.resource)],
        conditions=[
            _condition(operator, key, [_text(value) for value in _list(wanted)])
            for operator, keys in written.condition.items()
            for key, wanted in keys.items()
        ],
    )


# -- principals --------------------------------------------------------------------------------------------

_ACCOUNT = re.compile(r"\d{12}")


def _principals(written: str | Mapping[Literal["AWS", "Service"], Texts]) -> Sequence[str]:
    """Those that may be accounts: services never call here."""
    if isinstance(written, str):
        if written != "*":
            raise _Malformed('A Principal is "*" or an object')
        return ("*",)
    return [_checked_principal(text) for text in _list(written.get("AWS", []))]


def _checked_principal(text: str) -> str:
    arn = Arn.parse(text)
    account = arn.account if arn is not None and arn.service in ("iam", "sts") else text
    if text != "*" and not _ACCOUNT.fullmatch(account):
        raise _Malformed(f'A principal is "*", an account\'s id or an ARN of IAM, not "{text}"')
    return text


def _is_principal(principal: str, account: str) -> bool | None:
    """Whether a caller of `account` is meant; that it may be one user or role of it is unknown."""
    if principal in ("*", account):
        return True
    arn = Arn.parse(principal)
    if arn is None or arn.account != account:
        return False
    return True if arn.resource == "root" else None


# -- conditions --------------------------------------------------------------------------------------------

_OPERATOR = re.compile(r"(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?")

Compare = Callable[[str], Callable[[str], bool]]
"""A test of a request's value, made of what the condition wants."""


def _equals(wanted: str) -> Callable[[str], bool]:
    return lambda value: value == wanted


def _equals_ignoring_case(wanted: str) -> Callable[[str], bool]:
    folded = wanted.casefold()
    return lambda value: value.casefold() == folded


def _like(wanted: str) -> Callable[[str], bool]:
    pattern = _glob(wanted)
    return lambda value: pattern.match(value) is not None


def _arn_like(wanted: str) -> Callable[[str], bool]:
    """Each of the six parts of an ARN is matched for itself (documented)."""
    parts = wanted.split(":", 5)
    if len(parts) != 6:
        raise _Malformed(f'"{wanted}" is no ARN')
    patterns = list(map(_glob, parts))

    def matches(value: str) -> bool:
        found = value.split(":", 5)
        return len(found) == 6 and all(map(re.Pattern[str].match, patterns, found))

    return matches


def _is_flag(wanted: str) -> Callable[[str], bool]:
    flag = _flag(wanted)
    return lambda value: value.lower() == flag


_OPERATORS: Mapping[str, tuple[Compare, bool]] = {
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_equals_ignoring_case, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_arn_like, False),
    "ArnNotEquals": (_arn_like, True),
    "ArnLike": (_arn_like, False),
    "ArnNotLike": (_arn_like, True),
    "Bool": (_is_flag, False),
}
"""How a value is compared, and whether the operator wants no match."""


def _condition(operator: str, key: str, wanted: Sequence[str]) -> _Condition:
    if operator == "Null":
        flags = [_flag(text) == "true" for text in wanted]
        return _Condition(key.lower(), lambda values: (not values) in flags)
    parts = _OPERATOR.fullmatch(operator)
    quantifier, name, if_exists = parts.groups() if parts else (None, "", None)
    if name not in _OPERATORS:
        raise _Malformed(f'The condition operator "{operator}" is not supported')
    compare, is_negated = _OPERATORS[name]
    tests = [compare(text) for text in wanted]

    def is_wanted(value: str) -> bool:
        return any(test(value) for test in tests) is not is_negated

    def holds(values: tuple[str, ...]) -> bool:
        if not values:
            return if_exists is not None or _holds_for_absent(quantifier, is_negated=is_negated)
        found = map(is_wanted, values)
        return any(found) if quantifier == "ForAnyValue" else all(found)

    return _Condition(key.lower(), holds)


def _holds_for_absent(quantifier: str | None, *, is_negated: bool) -> bool:
    """What an operator says of a key that the request has not (documented)."""
    return is_negated if quantifier is None else quantifier == "ForAllValues"


def _holds(condition: _Condition, context: Mapping[str, tuple[str, ...] | None]) -> bool | None:
    values = context.get(condition.key)
    return None if values is None else condition.holds(values)


# -- small things ------------------------------------------------------------------------------------------


def _all(parts: Iterable[bool | None]) -> bool | None:
    found = list(parts)
    return False if False in found else None if None in found else True


def _any(parts: Iterable[bool | None]) -> bool | None:
    found = list(parts)
    return True if True in found else None if None in found else False


def _glob(text: str) -> re.Pattern[str]:
    """`*` is any text, `?` any character. Policy variables are not built."""
    if "${" in text:
        raise _Malformed(f'Policy variables are not supported: "{text}"')
    return re.compile(translate(text.replace("[", "[[]")))


def _flag(text: str) -> str:
    if text.lower() not in ("true", "false"):
        raise _Malformed(f'"{text}" is neither "true" nor "false"')
    return text.lower()


def _text(value: Scalar) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if "${" in text:
        raise _Malformed(f'Policy variables are not supported: "{text}"')
    return text


def _list(value: S | list[S]) -> list[S]:
    return value if isinstance(value, list) else [value]
