"""Every setting of a node, in one table.

The fields of `Settings` are the table: name, type and bounds, default, help. The command line
(`--keep-events-seconds`), the environment (`PARTNERBUS_KEEP_EVENTS_SECONDS`), the settings file (TOML,
`keep-events-seconds`) and docs/settings.md are all made from it, so none of them can know a setting that
the others do not (`load_settings.py` reads them). Only the URL of the store may hold a secret.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import msgspec
from msgspec import Meta

from partnerbus.edge.sigv4 import REGION
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.model.exchange import TraceLevel
from partnerbus.targets.aws_endpoints import SERVICES

PREFIX = "PARTNERBUS_"


URL = r"https?://[^\s/,]+[^\s,]*"
NATS_URL = r"(nats|tls)://[^\s/,@]+"
HOST_AND_PORT = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}"
NATS_WORD = r"([A-Za-z0-9-][A-Za-z0-9_-]*|\*|\{account\})"


class AuthMode(StrEnum):
    """How callers of the API are told apart."""

    SIGV4 = "sigv4"
    NONE = "none"


class ServiceUrls(dict[str, str]):
    """URLs by AWS service: a table in the file, `sqs=http://…,sns=http://…` as text."""


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _text(help_text: str, **bounds: Any) -> Meta:
    return Meta(description=help_text, **bounds)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one node."""

    host: Annotated[str, _text("The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, _text("The port to listen on; 0 takes a free one.", ge=0, le=65_535)] = 4010
    data: Annotated[Path, _text("The folder that holds everything. One process owns it at a time.")] = Path(
        "partnerbus-data"
    )
    store: Annotated[
        str,
        _text(
            "Where everything is kept: empty is the data folder; a NATS cluster is shared by many nodes, as "
            "nats://[user:password@]host[:port],…[/name].",
            examples=["nats://10.0.0.5,10.0.0.6,10.0.0.7"],
        ),
    ] = ""
    replicas: Annotated[
        int,
        _text(
            "How many servers of the cluster keep a new store; 0 is as many as its URL names, at most 3.",
            ge=0,
            le=5,
        ),
    ] = 0
    role: Annotated[
        str,
        _text(
            "What this node does in its cluster: edge answers the API, route routes logs and does what one "
            "node does for all, deliver makes attempts.",
            pattern=r"^(edge|route|deliver)(,(edge|route|deliver))*\Z",
            examples=["route,deliver"],
        ),
    ] = "edge,route,deliver"
    store_credentials: Annotated[
        str,
        _text(
            "The path of a file with what the cluster asks for, as in nats-credentials.",
            examples=["/etc/partnerbus/store.creds"],
        ),
    ] = ""
    store_ca: Annotated[
        str,
        _text(
            "The path of a file (PEM) with who signs the cluster's certificates; empty is whom the system "
            "trusts.",
            examples=["/etc/partnerbus/store-ca.pem"],
        ),
    ] = ""
    store_certificate: Annotated[
        str,
        _text(
            "The path of a file (PEM) with a certificate and its key, to show to the cluster.",
            examples=["/etc/partnerbus/store-client.pem"],
        ),
    ] = ""
    store_monitors: Annotated[
        str,
        _text(
            "Where the cluster's servers are monitored: only that says whether what they acknowledge is on "
            "disk.",
            pattern=rf"^({URL}(,{URL})*)?\Z",
            examples=["http://10.0.0.5:8222,http://10.0.0.6:8222,http://10.0.0.7:8222"],
        ),
    ] = ""
    region: Annotated[
        str,
        _text(
            "The region of callers that do not name one.",
            pattern=rf"^{REGION.pattern}\Z",
            examples=["us-east-1"],
        ),
    ] = "us-east-1"
    auth: Annotated[
        AuthMode, _text("sigv4 verifies every caller's signature; none takes anybody's word.")
    ] = AuthMode.SIGV4
    default_account: Annotated[
        str,
        _text(
            "The account of callers that do not name one (only without authentication).",
            pattern=r"^[0-9]{12}\Z",
            examples=["111122223333"],
        ),
    ] = "000000000000"
    allow_remote_without_auth: Annotated[
        bool, _text("Let `auth none` listen on an address that other machines can reach.")
    ] = False
    allow_private_targets: Annotated[
        bool, _text("Let HTTP targets be plain http and lie in loopback and private networks.")
    ] = False
    allow_target_networks: Annotated[
        str,
        _text(
            "Private networks that HTTP targets may lie in, separated by commas.",
            examples=["10.1.0.0/16,fd00:1::/64"],
        ),
    ] = ""
    aws_endpoint_url: Annotated[
        str,
        _text(
            "Where AWS targets are called, for an emulator; empty is AWS itself.",
            pattern=rf"^({URL})?\Z",
            examples=["http://127.0.0.1:5000"],
        ),
    ] = ""
    aws_endpoints: Annotated[
        ServiceUrls,
        _text(
            "Where single AWS services are called, named as the AWS CLI names them; in the file a table.",
        ),
    ] = ServiceUrls()
    file_targets: Annotated[
        str,
        _text(
            "The folder below which targets may be files, for development; empty allows no files.",
            examples=["events"],
        ),
    ] = ""
    stdout_targets: Annotated[
        bool, _text("Let targets be this server's standard output, for development.")
    ] = False
    nats_servers: Annotated[
        str,
        _text(
            "The NATS servers that have the subjects that are targets, separated by commas.",
            pattern=rf"^({NATS_URL}(,{NATS_URL})*)?\Z",
            examples=["nats://10.0.0.5:4222,nats://10.0.0.6:4222"],
        ),
    ] = ""
    nats_subjects: Annotated[
        str,
        _text(
            "The NATS subjects that rules may publish to; {account} is the rule's account.",
            pattern=rf"^{NATS_WORD}(\.{NATS_WORD})*(\.>)?\Z|^>\Z",
            examples=["shop.{account}.>"],
        ),
    ] = "partnerbus.{account}.>"
    nats_credentials: Annotated[
        str,
        _text(
            "The path of a file with what the NATS servers ask for: USER:PASSWORD, a token, the seed of a "
            "user's nkey, or a JWT with its nkey (.creds).",
            examples=["/etc/partnerbus/nats.creds"],
        ),
    ] = ""
    nats_ca: Annotated[
        str,
        _text(
            "The path of a file (PEM) with who signs the NATS servers' certificates; empty is whom the "
            "system trusts.",
            examples=["/etc/partnerbus/nats-ca.pem"],
        ),
    ] = ""
    nats_certificate: Annotated[
        str,
        _text(
            "The path of a file (PEM) with a certificate and its key, to show to the NATS servers.",
            examples=["/etc/partnerbus/nats-client.pem"],
        ),
    ] = ""
    kafka_servers: Annotated[
        str,
        _text(
            "The Kafka brokers that have the topics that are targets, separated by commas.",
            pattern=rf"^({HOST_AND_PORT}(,{HOST_AND_PORT})*)?\Z",
            examples=["10.0.0.7:9092,10.0.0.8:9092"],
        ),
    ] = ""
    kafka_topics: Annotated[
        str,
        _text(
            "The Kafka topics that rules may publish to; {account} is the rule's account, * any characters.",
            pattern=r"^([A-Za-z0-9._*-]|\{account\})+\Z",
            examples=["shop.{account}.*"],
        ),
    ] = "partnerbus.{account}.*"
    kafka_properties: Annotated[
        str,
        _text(
            "The path of a file of name=value lines that say how to be let in: "
            "security.protocol, sasl.…, ssl.….",
            examples=["/etc/partnerbus/kafka.properties"],
        ),
    ] = ""
    max_entries_bytes: Annotated[
        int, _text("How large the entries of one call may be together.", ge=1_024, le=16_777_216)
    ] = 1_048_576
    skew_seconds: Annotated[
        int, _text("How far a signature's time may be from ours, either way.", ge=1, le=86_400)
    ] = 300
    throttling: Annotated[
        bool, _text("Keep accounts to their rates of calls (see quotas); never without authentication.")
    ] = True
    keep_events_seconds: Annotated[
        int, _text("How long events are kept after they were stored, if nothing needs them.", ge=0)
    ] = 3_600
    max_unrouted_events: Annotated[
        int,
        _text(
            "How many events of one bus may wait to be matched before it takes no more; 0 is any number.",
            ge=0,
        ),
    ] = 1_000_000
    max_pending_deliveries: Annotated[
        int,
        _text(
            "How many deliveries of one bus may wait for their targets before it takes no more; "
            "0 is any number.",
            ge=0,
        ),
    ] = 10_000_000
    keep_bus_logs_seconds: Annotated[
        int, _text("How long the records that buses write of their events are kept.", ge=60)
    ] = 604_800
    max_bus_logs_bytes: Annotated[
        int, _text("How much room they may take; the oldest go first.", ge=16_777_216)
    ] = 134_217_728
    trace: Annotated[
        TraceLevel,
        _text(
            "What is recorded of requests to targets and their answers, for traces: nothing, what failed, or "
            "everything."
        ),
    ] = TraceLevel.FAILURES
    keep_traces_seconds: Annotated[int, _text("How long what is recorded for traces is kept.", ge=60)] = (
        604_800
    )
    max_traces_bytes: Annotated[
        int, _text("How much room it may take; the oldest goes first.", ge=16_777_216)
    ] = 268_435_456
    pending_source_days: Annotated[
        int, _text("How long a partner source may stay PENDING before it is deleted.", ge=1, le=3_650)
    ] = 14
    partner_regions: Annotated[
        str,
        _text(
            "The regions that have partner sources, separated by commas; empty is every region.",
            pattern=rf"^({REGION.pattern}(,{REGION.pattern})*)?\Z",
            examples=["us-east-1,eu-central-1"],
        ),
    ] = ""
    drain_seconds: Annotated[
        int, _text("How long a stopping server waits for the attempts that are under way.", ge=0, le=3_600)
    ] = 10
    disable_failing_targets_hours: Annotated[
        int,
        _text(
            "After so many hours of failures without a success a target is disabled; 0 is never.",
            ge=0,
            le=8_760,
        ),
    ] = 0
    log_level: Annotated[LogLevel, _text("The least important log lines that are written.")] = LogLevel.INFO
    test_clock: Annotated[
        bool, _text("Let `partnerbus clock advance` move this node's time forwards. For tests only.")
    ] = False
    allow_reset: Annotated[
        bool,
        _text("Let `partnerbus reset` forget everything but accounts and their keys. For tests only."),
    ] = False


def without_secrets(url: str) -> str:
    """A store's URL as it may be shown and logged."""
    return re.sub(r"//[^/]*@", "//", url)


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table. `takes` says in words what a value must be."""

    name: str
    kind: type
    annotation: object
    default: object
    help: str
    takes: str

    @property
    def option(self) -> str:
        """As the command line and the settings file write it."""
        return self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    def read(self, value: object, where: str) -> object:
        """`value`, as found at `where`, as this setting's type; a `ConfigurationError` if it cannot be."""
        try:
            return msgspec.convert(
                value, self.annotation, strict=not isinstance(value, str), dec_hook=_own_type
            )
        except msgspec.ValidationError:
            raise ConfigurationError(f"{where} is {value!r}, but it must be {self.takes}") from None


def _own_type(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    if kind is ServiceUrls:
        return _service_urls(value)
    raise msgspec.ValidationError("not a path")


def _service_urls(value: object) -> ServiceUrls:
    """A table of the file, or the text of the other places."""
    if isinstance(value, str):
        value = dict(pair.strip().partition("=")[::2] for pair in value.split(",") if pair.strip())
    found = msgspec.convert(value, dict[str, Annotated[str, Meta(pattern=rf"^{URL}\Z")]])
    if unknown := set(found) - SERVICES:
        raise msgspec.ValidationError(f"no service {unknown}")
    return ServiceUrls(found)


@cache
def table() -> Mapping[str, Setting]:
    """Every setting by its field name, in the order of `Settings`."""
    hints = get_type_hints(Settings, include_extras=True)
    fields = msgspec.structs.fields(Settings)
    return {field.name: _setting(field.name, hints[field.name], field.default) for field in fields}


def _setting(name: str, annotation: object, default: object) -> Setting:
    kind, meta = get_args(annotation)
    return Setting(
        name=name,
        kind=kind,
        annotation=annotation,
        default=default,
        help=meta.description,
        takes=_in_words(kind, meta),
    )


def _in_words(kind: type, meta: Meta) -> str:
    if issubclass(kind, StrEnum):
        return "one of " + ", ".join(kind)
    if kind is bool:
        return "true or false"
    if kind is int:
        return f"a whole number from {meta.ge}" + (f" to {meta.le}" if meta.le is not None else "")
    if kind is Path:
        return "the path of a folder"
    if kind is ServiceUrls:
        return f"service=URL pairs with services among {', '.join(sorted(SERVICES))}"
    return f"text like {meta.examples[0]}" if meta.examples else "text"
