"""Which invoker serves which target ARN."""

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from partnerbus.kernel.clock import Clock, SystemClock
from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.arns import Arn
from partnerbus.model.resources import Rule, Target
from partnerbus.targets.addresses import AddressGuard, Network
from partnerbus.targets.authorization import Opener
from partnerbus.targets.aws import AwsCaller
from partnerbus.targets.aws_endpoints import AwsEndpoints
from partnerbus.targets.aws_http import AwsHttp
from partnerbus.targets.aws_kind import AwsInvoker, AwsKind
from partnerbus.targets.bus import BusInvoker
from partnerbus.targets.client_certificates import ClientContexts
from partnerbus.targets.dead_letter import DeadLetterQueue
from partnerbus.targets.http import HttpInvoker
from partnerbus.targets.invoker import Forward, Invoker, Lookup
from partnerbus.targets.kafka_topic import KafkaInvoker, KafkaSettings
from partnerbus.targets.lines import FileInvoker, StdoutInvoker, to_stdout
from partnerbus.targets.names import Resolve, UrlCheck
from partnerbus.targets.nats_subject import NatsInvoker, NatsSettings
from partnerbus.targets.outbound_client import HttpOutbound
from partnerbus.targets.secrets_manager import SERVICE as SECRETS_MANAGER
from partnerbus.targets.secrets_manager import SecretsManager
from partnerbus.targets.services.app_sync import AppSyncInvoker
from partnerbus.targets.services.batch import BATCH
from partnerbus.targets.services.code import CODE_BUILD, CODE_PIPELINE
from partnerbus.targets.services.ecs import ECS
from partnerbus.targets.services.execute_api import ExecuteApiInvoker
from partnerbus.targets.services.firehose import FIREHOSE
from partnerbus.targets.services.functions import LAMBDA
from partnerbus.targets.services.glue import GLUE
from partnerbus.targets.services.kinesis import KINESIS
from partnerbus.targets.services.logs import LOGS
from partnerbus.targets.services.redshift import REDSHIFT_CLUSTER, REDSHIFT_WORKGROUP
from partnerbus.targets.services.sagemaker import SAGEMAKER
from partnerbus.targets.services.sns import SNS
from partnerbus.targets.services.ssm import SSM
from partnerbus.targets.services.state_machines import STATE_MACHINE
from partnerbus.targets.sqs import SqsInvoker, SqsQueues
from partnerbus.targets.tokens import Tokens
from partnerbus.targets.webhook import WebhookInvoker

AWS_KINDS: dict[str, AwsKind] = {
    "batch": BATCH,
    "codebuild": CODE_BUILD,
    "codepipeline": CODE_PIPELINE,
    "ecs": ECS,
    "firehose": FIREHOSE,
    "glue": GLUE,
    "kinesis": KINESIS,
    "lambda": LAMBDA,
    "logs": LOGS,
    "redshift": REDSHIFT_CLUSTER,
    "redshift-serverless": REDSHIFT_WORKGROUP,
    "sagemaker": SAGEMAKER,
    "sns": SNS,
    "ssm": SSM,
    "states": STATE_MACHINE,
}
"""What one call delivers to, by the service of the ARN."""

NO_SUCH_KIND = (
    "Nothing is delivered to resources of that kind: targets are API destinations, event buses, webhooks, "
    "NATS subjects, Kafka topics, files, standard output and what belongs to one of "
    + ", ".join(sorted({"appsync", "execute-api", "sqs", *AWS_KINDS}))
    + "."
)

READ_BY = {
    "AppSyncParameters": ("appsync",),
    "BatchParameters": ("batch",),
    "EcsParameters": ("ecs",),
    "HttpParameters": ("http", "execute-api"),
    "KinesisParameters": ("kinesis",),
    "RedshiftDataParameters": ("redshift-data",),
    "RunCommandParameters": ("ssm",),
    "SageMakerPipelineParameters": ("sagemaker",),
    "SqsParameters": ("sqs",),
}
"""Which kinds read a structure of a target; with any other it could have no effect, so it is refused."""

ANOTHER_REGION = "The target is in {}, the rule in {}: only event buses may be in another region."
"""Text assumed; documented is that targets are in the rule's region, save buses."""

NOT_FOR_THIS_KIND = "{} cannot be used with this target."


class TargetSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides about targets.

    `allow_private`: whether targets may be in this node's private network; `networks`: in which parts of it.
    `aws_endpoint_url`: where AWS services are called instead of at AWS (an emulator); `aws_endpoints`: where
    single ones are. Those are exempt from the address check, and so are the servers of `nats` and `kafka`.
    `files`: the folder that files may be in, None for no files; `stdout`: whether to write there.
    """

    allow_private: bool = False
    networks: Sequence[Network] = ()
    aws_endpoint_url: str | None = None
    aws_endpoints: Mapping[str, str] = {}
    files: Path | None = None
    stdout: bool = False
    nats: NatsSettings = NatsSettings()
    kafka: KafkaSettings = KafkaSettings()


class Targets:
    """The invokers of a node, by kind of ARN.

    The kind is the service; of `events` with the kind of resource, and with our own partition before it.
    """

    def __init__(
        self,
        invokers: Mapping[str, Invoker],
        dead_letter_queue: DeadLetterQueue,
        urls: UrlCheck,
        tokens: Tokens,
        close: Sequence[Callable[[], Awaitable[None]]] = (),
        secrets_manager: SecretsManager | None = None,
    ) -> None:
        self._invokers = invokers
        self._urls = urls
        self._close = close
        self.tokens = tokens
        self.secrets_manager = secrets_manager
        self.dead_letter_queue = dead_letter_queue

    def invoker(self, arn: str) -> Invoker | None:
        """The invoker for a target's ARN; None if this node has none of that kind."""
        parsed = Arn.parse(arn)
        if parsed is None:
            return None
        return self._invokers.get(_kind(parsed))

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """Why a target of `rule` cannot work here, as a sentence for whoever puts it; None if it can."""
        if target.dead_letter_arn is not None:
            refusal = self.dead_letter_queue.refusal(target.dead_letter_arn, rule)
            if refusal is not None:
                return refusal
        arn = Arn.parse(target.arn)
        if arn is None:
            return "The target's ARN is not valid."
        invoker = self.invoker(target.arn)
        if invoker is None:
            return NO_SUCH_KIND
        return (
            _foreign_structure(target, invoker.kind)
            or invoker.refusal(target, rule)
            or _foreign_region(arn, rule.region)
        )

    async def url_refusal(self, url: str) -> str | None:
        """Why nothing of an account may be sent to this URL, as a sentence; None if it may."""
        return await self._urls.refusal(url)

    async def close(self) -> None:
        """Close every connection."""
        for close in self._close:
            await close()


def make_targets(
    settings: TargetSettings,
    lookup: Lookup,
    secrets: SecretBox,
    clock: Clock,
    forward: Forward,
    resolve: Resolve | None = None,
) -> Targets:
    """Everything this node can deliver to. Connections are opened at the first delivery.

    `resolve` gives the addresses of customers' host names; None is the system's way.
    """
    guard = AddressGuard(settings.allow_private, settings.networks)
    urls = UrlCheck(guard, clock, resolve)
    tls = ssl.create_default_context()
    outbound = HttpOutbound(clock, guard, resolve, tls)
    aws_outbound = HttpOutbound(clock, guard=None, tls=tls)
    tokens = Tokens(secrets, outbound, clock)
    opener = Opener(secrets, tokens, ClientContexts(secrets))
    endpoints = AwsEndpoints(everywhere=settings.aws_endpoint_url, by_service=settings.aws_endpoints)
    aws = AwsCaller(aws_outbound, clock, endpoints)
    aws_http = AwsHttp(aws, outbound)
    queues = SqsQueues(aws)
    aws_invokers = {service: AwsInvoker(aws, kind) for service, kind in AWS_KINDS.items()}
    files = FileInvoker(settings.files, clock)
    stdout = StdoutInvoker(to_stdout if settings.stdout else None, clock)
    nats = NatsInvoker(settings.nats, clock)
    kafka = KafkaInvoker(settings.kafka, clock)
    invokers: dict[str, Invoker] = {
        **aws_invokers,
        "events:api-destination": HttpInvoker(lookup, opener, outbound, clock),
        "events:event-bus": BusInvoker(lookup, forward),
        "appsync": AppSyncInvoker(aws, aws_http),
        "execute-api": ExecuteApiInvoker(aws, aws_http, clock),
        "sqs": SqsInvoker(queues),
        "partnerbus:file": files,
        "partnerbus:kafka": kafka,
        "partnerbus:nats": nats,
        "partnerbus:stdout": stdout,
        "partnerbus:webhook": WebhookInvoker(lookup, secrets, guard, outbound, clock, SystemClock()),
    }
    gathering = [invoker.close for invoker in aws_invokers.values()]
    own = (files.close, stdout.close, nats.close, kafka.close)
    close = (*gathering, queues.close, *own, tokens.close, urls.close, outbound.close, aws_outbound.close)
    manager = SecretsManager(aws, secrets) if endpoints.url(SECRETS_MANAGER) is not None else None
    return Targets(invokers, DeadLetterQueue(queues), urls, tokens, close, manager)


def _kind(arn: Arn) -> str:
    if not arn.is_of_aws:
        return f"{arn.partition}:{arn.service}"
    if arn.service == "events":
        return f"events:{arn.resource.partition('/')[0]}"
    return arn.service


def _foreign_region(arn: Arn, region: str) -> str | None:
    """Our own kinds say themselves that theirs is another's."""
    if arn.region in ("", region) or _kind(arn) == "events:event-bus":
        return None
    return ANOTHER_REGION.format(arn.region, region)


def _foreign_structure(target: Target, kind: str) -> str | None:
    for name in target.parameters:
        if kind not in READ_BY.get(name, (kind,)):
            return NOT_FOR_THIS_KIND.format(name)
    return None
