"""AWS resources as targets: what differs from kind to kind is an `AwsKind`, the rest is here, once.

A kind is data and one small function that says what is asked of the service for an event. The ARN is checked
when the target is put and trusted afterwards; whether the resource exists shows at the first delivery
(documented).
"""

import re
import uuid
from collections.abc import Callable, Mapping

import msgspec

from partnerbus.model.arns import Arn
from partnerbus.model.paths import EventDocument
from partnerbus.model.reply import ACCEPTED, ErrorCode, Reply
from partnerbus.model.resources import Rule, Target
from partnerbus.model.target_parameters import NothingAtPath
from partnerbus.targets.aws import AwsCaller
from partnerbus.targets.aws_errors import Output
from partnerbus.targets.aws_service import AwsCall
from partnerbus.targets.invoker import Invocation

_TOKENS = uuid.UUID("5b1c9a3e-6c55-5c5f-9d0e-2f7f6b1c7a10")
"""The namespace of idempotency tokens; any constant will do."""

_decode_object = msgspec.json.Decoder(dict[str, object]).decode


class Unusable(ValueError):
    """This event makes no call for this target; the text says why. Trying again cannot help."""


def _nothing_more(_: Target) -> str | None:
    return None


def _whatever(_: Output) -> Reply:
    return ACCEPTED


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a service: the particulars of an `AwsCall`, whose members these are."""

    operation: str
    parameters: Mapping[str, object]
    to_fit: Mapping[str, object] = {}
    expects: str | None = None


class AwsKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of AWS resource as a target.

    `name` is for logs and metrics; `service` is what is called, as botocore names it. `resource` is the
    pattern of the ARN's last part, `form` says it in words. `needs` names the structure that a target cannot
    do without, `refusal` says what else is wrong with one.

    `call` may raise `Unusable` and `NothingAtPath`; `names_account` is `AwsCall`'s. `judge` reads what a call
    that went well says about the event. `token` is the operation's member that makes a repeated call one with
    the first, `repeated` the error that says that the first did it. `missing` makes what the call does not
    find, such as a log stream.
    """

    name: str
    service: str
    resource: str
    form: str
    call: Callable[[Invocation, Arn], Ask]
    names_account: bool = False
    needs: str | None = None
    refusal: Callable[[Target], str | None] = _nothing_more
    judge: Callable[[Output], Reply] = _whatever
    token: str | None = None
    repeated: ErrorCode | None = None
    missing: Callable[[Invocation, Arn], Ask] | None = None


class AwsInvoker:
    """Delivers to one kind of AWS resource by one call."""

    def __init__(self, aws: AwsCaller, kind: AwsKind) -> None:
        self.kind = kind.name
        self._aws = aws
        self._kind = kind

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """The ARN's form, the account, and what the kind needs; whether the resource exists shows later."""
        kind = self._kind
        arn = Arn.parse(target.arn)
        if arn is None or not arn.region or not re.fullmatch(kind.resource, arn.resource):
            return f"The target's ARN is not valid: it must end in {kind.form}."
        if kind.needs is not None and kind.needs not in target.parameters:
            return f"{kind.needs} is required for this target."
        return kind.refusal(target) or self._aws.refusal(kind.service, arn, rule.account)

    async def invoke(self, invocation: Invocation) -> Reply:
        """Make the call."""
        arn = Arn.parse(invocation.target.arn)
        assert arn is not None  # checked when it was put
        refusal = self._aws.refusal(self._kind.service, arn, invocation.rule.account)
        if refusal is not None:
            return Reply(error=ErrorCode.NO_PERMISSIONS, message=refusal)
        try:
            ask = self._with_token(self._kind.call(invocation, arn), invocation)
        except (Unusable, NothingAtPath) as error:
            return Reply(error=ErrorCode.INVALID_PARAMETER, message=str(error))
        answer = await self._call(ask, invocation, arn)
        if isinstance(answer, Reply) and answer.error is ErrorCode.NO_RESOURCE and self._kind.missing:
            made = await self._call(self._kind.missing(invocation, arn), invocation, arn)
            is_there = not isinstance(made, Reply) or made.error is ErrorCode.RESOURCE_ALREADY_EXISTS
            answer = await self._call(ask, invocation, arn) if is_there else made
        if isinstance(answer, Reply):
            return ACCEPTED if answer.error is self._kind.repeated else answer
        return self._kind.judge(answer)

    async def _call(self, ask: Ask, invocation: Invocation, arn: Arn) -> Output | Reply:
        """Public resources, such as AWS's own documents, are used in the rule's account."""
        call = AwsCall(
            service=self._kind.service,
            operation=ask.operation,
            region=arn.region,
            account=arn.account or invocation.rule.account,
            parameters=ask.parameters,
            to_fit=ask.to_fit,
            expects=ask.expects,
            names_account=self._kind.names_account,
        )
        return await self._aws.call(call)

    def _with_token(self, ask: Ask, invocation: Invocation) -> Ask:
        """The same token for the same delivery, as long as what is asked for stays the same."""
        if self._kind.token is None:
            return ask
        token = str(uuid.uuid5(_TOKENS, f"{invocation.delivery_id} {ask!r}"))
        return msgspec.structs.replace(ask, parameters={**ask.parameters, self._kind.token: token})


# -- what kinds share --------------------------------------------------------------------------------------


def document_of(invocation: Invocation) -> EventDocument:
    """The event as it was matched, for dynamic paths."""
    return EventDocument(invocation.record.event)


def has_input(target: Target) -> bool:
    """Whether the target says what it receives; otherwise that is the whole event."""
    given = (target.input, target.input_path, target.input_transformer)
    return any(member is not None for member in given)


def input_object(invocation: Invocation) -> dict[str, object]:
    """The target's input, which must be a JSON object. Raises `Unusable`."""
    try:
        return _decode_object(invocation.payload)
    except (msgspec.DecodeError, RecursionError):
        raise Unusable("The target's input is not a JSON object.") from None
