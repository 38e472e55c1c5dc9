"""AWS resources as targets: what differs from kind to kind is an `AwsKind`, the rest is here, once.

A kind is data and one small function that says what is asked of the service for an event. The ARN is checked
when the target is put and trusted afterwards; whether the resource exists shows at the first delivery
(documented).
"""

import re
import uuid
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial

import msgspec

from partnerbus.model.arns import Arn
from partnerbus.model.paths import EventDocument
from partnerbus.model.reply import ACCEPTED, ErrorCode, Reply
from partnerbus.model.resources import Rule, Target
from partnerbus.model.target_parameters import NothingAtPath
from partnerbus.targets.aws import AwsCaller
from partnerbus.targets.aws_errors import Output, unreadable
from partnerbus.targets.aws_service import AwsCall, Expected
from partnerbus.targets.gathering import CallLimits, Gatherer
from partnerbus.targets.invoker import Invocation

_TOKENS = uuid.UUID("5b1c9a3e-6c55-5c5f-9d0e-2f7f6b1c7a10")
"""The namespace of idempotency tokens; any constant will do."""

NO_OBJECT = "The target's input is not a JSON object."

_decode_object = msgspec.json.Decoder(dict[str, object]).decode


class Unusable(ValueError):
    """This event makes no call for this target; the text says why. Trying again cannot help."""


def _nothing_more(_: Target) -> str | None:
    return None


def _whatever(_: Output) -> Reply:
    return ACCEPTED


def _all_together(_: object) -> Hashable:
    return None


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a service: the particulars of an `AwsCall`, whose members these are."""

    operation: str
    parameters: Mapping[str, object]
    to_fit: Mapping[str, object] = {}
    expects: Expected = ()


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """How what is asked for several events of a target is asked in one call.

    `size` is what an entry counts for; entries of different `group`s never share a call. `combine` makes one
    of several, `judge` says what became of each.
    """

    limits: CallLimits
    size: Callable[[Ask], int]
    combine: Callable[[Sequence[Ask]], Ask]
    judge: Callable[[Output, Sequence[Ask]], Sequence[Reply]]
    group: Callable[[Ask], Hashable] = _all_together


class _Place(msgspec.Struct, frozen=True):
    """Where a call goes, and which others may go with it."""

    arn: Arn
    account: str
    group: Hashable = None


class AwsKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of AWS resource as a target.

    `name` is for logs and metrics; `service` is what is called, as botocore names it. `resource` is the
    pattern of the ARN's last part, `form` says it in words. `needs` names the structure that a target cannot
    do without, `takes_object` says that its input must be a JSON object, `refusal` what else is wrong.

    `call` may raise `Unusable` and `NothingAtPath`; `names_account` is `AwsCall`'s. `judge` reads what a call
    that went well says about the event. `token` is the operation's member that makes a repeated call one with
    the first, `repeated` the error that says that the first did it. `missing` makes what the call does not
    find, such as a log stream. `batch` says how deliveries share calls.
    """

    name: str
    service: str
    resource: str
    form: str
    call: Callable[[Invocation, Arn], Ask]
    names_account: bool = False
    needs: str | None = None
    takes_object: bool = False
    refusal: Callable[[Target], str | None] = _nothing_more
    judge: Callable[[Output], Reply] = _whatever
    token: str | None = None
    repeated: ErrorCode | None = None
    missing: Callable[[Ask], Ask] | None = None
    batch: Batch | None = None


class AwsInvoker:
    """Delivers to one kind of AWS resource."""

    def __init__(self, aws: AwsCaller, kind: AwsKind) -> None:
        self.kind = kind.name
        self._aws = aws
        self._kind = kind
        self._gatherer: Gatherer[_Place, Ask] | None = None
        if kind.batch is not None:
            self._gatherer = Gatherer(kind.batch.limits, self._one, partial(self._many, kind.batch))

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """The ARN's form, the account, and what the kind needs; whether the resource exists shows later."""
        kind = self._kind
        arn = Arn.parse(target.arn)
        if arn is None or not arn.region or not re.fullmatch(kind.resource, arn.resource):
            return f"The target's ARN is not valid: it must end in {kind.form}."
        if kind.needs is not None and kind.needs not in target.parameters:
            return f"{kind.needs} is required for this target."
        if kind.takes_object and is_never_object(target):
            return NO_OBJECT
        return kind.refusal(target) or self._aws.refusal(kind.service, arn, rule.created_by)

    async def invoke(self, invocation: Invocation) -> Reply:
        """Make the call."""
        arn = Arn.parse(invocation.target.arn)
        assert arn is not None  # checked when it was put
        refusal = self._aws.refusal(self._kind.service, arn, invocation.rule.created_by)
        if refusal is not None:
            return Reply(error=ErrorCode.NO_PERMISSIONS, message=refusal)
        try:
            ask = self._with_token(self._kind.call(invocation, arn), invocation)
        except (Unusable, NothingAtPath) as error:
            return Reply(error=ErrorCode.INVALID_PARAMETER, message=str(error))
        # Public resources, such as AWS's own documents, are used in the rule's account.
        place = _Place(arn, arn.account or invocation.rule.created_by)
        if self._gatherer is None or self._kind.batch is None:
            return await self._one(place, ask)
        place = msgspec.structs.replace(place, group=self._kind.batch.group(ask))
        return await self._gatherer.send(place, ask, self._kind.batch.size(ask))

    async def close(self) -> None:
        """End the calls that deliveries share."""
        if self._gatherer is not None:
            await self._gatherer.close()

    async def _one(self, place: _Place, ask: Ask) -> Reply:
        answer = await self._answer(place, ask)
        if isinstance(answer, Reply):
            return ACCEPTED if answer.error is self._kind.repeated else answer
        return self._kind.judge(answer)

    async def _many(self, batch: Batch, place: _Place, asks: Sequence[Ask]) -> Sequence[Reply] | Reply:
        answer = await self._answer(place, batch.combine(asks))
        if isinstance(answer, Reply):
            return answer
        replies = batch.judge(answer, asks)
        return replies if len(replies) == len(asks) else unreadable(200)

    async def _answer(self, place: _Place, ask: Ask) -> Output | Reply:
        """What the service says, after what was missing has been made."""
        answer = await self._call(place, ask)
        if isinstance(answer, Reply) and answer.error is ErrorCode.NO_RESOURCE and self._kind.missing:
            made = await self._call(place, self._kind.missing(ask))
            is_there = not isinstance(made, Reply) or made.error is ErrorCode.RESOURCE_ALREADY_EXISTS
            return await self._call(place, ask) if is_there else made
        return answer

    async def _call(self, place: _Place, ask: Ask) -> Output | Reply:
        call = AwsCall(
            service=self._kind.service,
            operation=ask.operation,
            region=place.arn.region,
            account=place.account,
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
        raise Unusable(NO_OBJECT) from None


def is_never_object(target: Target) -> bool:
    """Whether the target's input, which has been checked, is no JSON object whatever the event.

    A template of one placeholder alone may be one; of what is at an InputPath nothing is known.
    """
    transformer = target.input_transformer
    text = target.input if transformer is None else transformer.template
    return text is not None and text.lstrip()[:1] not in ("{", "<")
