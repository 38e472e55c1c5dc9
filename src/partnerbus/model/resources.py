"""What the registry holds: accounts and keys, sources, buses, rules with their targets, connections.

Each resource is one registry value under its `key`, so that a change of one is atomic. Words of the wire
API (`DetailType`, `TargetArn`) stop at `api/`; `:` separates the parts of a key, since no name holds one.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from partnerbus.model import arns
from partnerbus.model.target_parameters import (
    AppSyncParameters,
    BatchParameters,
    EcsParameters,
    KinesisParameters,
    RedshiftDataParameters,
    RunCommandParameters,
    SageMakerPipelineParameters,
)


class Resource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """One thing in the registry. Each kind has a `key`: where the registry keeps it."""


# -- who may call ------------------------------------------------------------------------------------------


class Account(Resource, frozen=True, kw_only=True, tag="account"):
    """A customer or, with `partner` (the domain it publishes for), a publishing account of that partner."""

    id: str
    created_at: datetime
    partner: str | None = None

    @property
    def key(self) -> str:
        return account_key(self.id)


class AccessKey(Resource, frozen=True, kw_only=True, tag="access-key"):
    """A key pair of an account; the secret is sealed."""

    id: str
    account: str
    sealed_secret: str
    created_at: datetime

    @property
    def key(self) -> str:
        return access_key_key(self.id)


# -- partner sources and buses -----------------------------------------------------------------------------


class SourceState(StrEnum):
    """As the customer sees it; a source that does not exist has no state."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    DELETED = "DELETED"


class PartnerSource(Resource, frozen=True, kw_only=True, tag="source"):
    """A source offered by a partner to one customer account; names are unique in a region."""

    region: str
    name: str
    partner: str
    account: str
    state: SourceState
    created_at: datetime
    expires_at: datetime | None = None

    @property
    def key(self) -> str:
        return source_key(self.region, self.name)

    @property
    def arn(self) -> str:
        return arns.event_source_arn(self.region, self.name)


class LogConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a bus writes to its log."""

    level: str | None = None
    include_detail: str | None = None


class EventBus(Resource, frozen=True, kw_only=True, tag="bus"):
    """A bus: a name, and a log of its own. A bus made anew under an old name gets a new log."""

    account: str
    region: str
    name: str
    log: str
    created_at: datetime
    modified_at: datetime
    source: str | None = None
    description: str | None = None
    kms_key: str | None = None
    dead_letter_arn: str | None = None
    log_config: LogConfig | None = None
    policy: str | None = None
    managed_by: str | None = None
    tags: dict[str, str] = {}

    @property
    def key(self) -> str:
        return bus_key(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        return arns.bus_arn(self.region, self.account, self.name)


# -- rules and targets -------------------------------------------------------------------------------------


class RuleState(StrEnum):
    ENABLED = "ENABLED"
    DISABLED = "DISABLED"
    ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long a delivery is tried. The defaults are the service's (185 retries, one day)."""

    max_retries: int = 185
    max_age_seconds: int = 86_400


class InputTransformer(msgspec.Struct, frozen=True, kw_only=True):
    """Paths by variable name, and the template they go into."""

    template: str
    paths: dict[str, str] = {}


class HttpParameters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a target adds to an HTTP request."""

    path_values: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    query: dict[str, str] = {}


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a rule delivers.

    `subscription` is drawn when the target is first put and kept while it is replaced under the same id;
    `since` is the head of the bus's log at that moment, so older events are never owed to it.
    `parameters` holds, as JSON text of the wire form and by its name there, each structure of the target that
    is given back exactly as it came; beside it stands what the engine and the targets read of them.
    `ordered_by` is a path: events with the same value there are delivered one after the other.
    """

    id: str
    arn: str
    subscription: str
    since: int
    role_arn: str | None = None
    input: str | None = None
    input_path: str | None = None
    input_transformer: InputTransformer | None = None
    retry: RetryPolicy = RetryPolicy()
    dead_letter_arn: str | None = None
    message_group_id: str | None = None
    http: HttpParameters | None = None
    kinesis: KinesisParameters | None = None
    run_command: RunCommandParameters | None = None
    ecs: EcsParameters | None = None
    batch: BatchParameters | None = None
    redshift_data: RedshiftDataParameters | None = None
    sagemaker: SageMakerPipelineParameters | None = None
    app_sync: AppSyncParameters | None = None
    parameters: dict[str, str] = {}
    ordered_by: str | None = None


class Rule(Resource, frozen=True, kw_only=True, tag="rule"):
    """A pattern on a bus and the targets that its matches go to, ordered by target id.

    A rule of the default bus may have a schedule, which counts from `scheduled_at`: when it was put, or when
    the rule was last enabled.
    """

    account: str
    region: str
    bus: str
    name: str
    state: RuleState
    created_by: str
    created_at: datetime
    pattern: str | None = None
    schedule: str | None = None
    scheduled_at: datetime | None = None
    description: str | None = None
    role_arn: str | None = None
    managed_by: str | None = None
    tags: dict[str, str] = {}
    targets: tuple[Target, ...] = ()

    @property
    def key(self) -> str:
        return rule_key(self.account, self.region, self.bus, self.name)

    @property
    def arn(self) -> str:
        return arns.rule_arn(self.region, self.account, self.bus, self.name)


# -- connections and API destinations ----------------------------------------------------------------------


class AuthorizationType(StrEnum):
    BASIC = "BASIC"
    API_KEY = "API_KEY"
    OAUTH_CLIENT_CREDENTIALS = "OAUTH_CLIENT_CREDENTIALS"


class ConnectionState(StrEnum):
    """A connection as its owner sees it (the service has more, for private connectivity).

    AUTHORIZING is an OAuth connection whose first token is being asked for. DEAUTHORIZED is one whose
    credentials were taken away, or were refused by the authorization endpoint.
    """

    AUTHORIZING = "AUTHORIZING"
    AUTHORIZED = "AUTHORIZED"
    DEAUTHORIZING = "DEAUTHORIZING"
    DEAUTHORIZED = "DEAUTHORIZED"
    DELETING = "DELETING"


class ParameterPlace(StrEnum):
    HEADER = "header"
    QUERY = "query"
    BODY = "body"


class ConnectionParameter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An extra header, query parameter or body member; `value` is sealed if it `is_secret`."""

    place: ParameterPlace
    name: str
    value: str
    is_secret: bool = False


class OAuthExchange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a client's id and secret are exchanged for a token, and what else goes with the request."""

    url: str
    method: str
    parameters: tuple[ConnectionParameter, ...] = ()


class ClientCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """What this node shows of itself in TLS: certificates in PEM, the leaf first, and the sealed key."""

    chain: str
    sealed_key: str


class Connection(Resource, frozen=True, kw_only=True, tag="connection"):
    """How to authorize at an endpoint.

    `user` is the user name, the name of the API key's header, or the id of the OAuth client; `sealed_secret`
    is what goes with it, empty once the connection was deauthorized.
    """

    account: str
    region: str
    name: str
    uuid: str
    secret_suffix: str
    authorization: AuthorizationType
    user: str
    sealed_secret: str
    state: ConnectionState
    created_at: datetime
    modified_at: datetime
    state_reason: str | None = None
    authorized_at: datetime | None = None
    description: str | None = None
    kms_key: str | None = None
    parameters: tuple[ConnectionParameter, ...] = ()
    oauth: OAuthExchange | None = None
    certificate: ClientCertificate | None = None

    @property
    def key(self) -> str:
        return connection_key(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        return arns.connection_arn(self.region, self.account, self.name, self.uuid)

    @property
    def has_credentials(self) -> bool:
        """Whether it was not deauthorized by its owner."""
        return self.sealed_secret != ""

    @property
    def credentials(self) -> tuple[str, str, OAuthExchange | None]:
        """What a token is given for; other ones make every token worthless."""
        return self.user, self.sealed_secret, self.oauth

    @property
    def secret_arn(self) -> str:
        return arns.connection_secret_arn(self.region, self.account, self.name, self.secret_suffix)


class ApiDestination(Resource, frozen=True, kw_only=True, tag="api-destination"):
    """An HTTP endpoint that rules may name as a target."""

    account: str
    region: str
    name: str
    uuid: str
    connection_arn: str
    url: str
    method: str
    created_at: datetime
    modified_at: datetime
    description: str | None = None
    rate_per_second: int = 300

    @property
    def key(self) -> str:
        return api_destination_key(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        return arns.api_destination_arn(self.region, self.account, self.name, self.uuid)


class WebhookSecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sealed signing secret; one that was rotated away still signs until `expires_at`."""

    sealed: str
    created_at: datetime
    expires_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at


class Webhook(Resource, frozen=True, kw_only=True, tag="webhook"):
    """A URL that rules may name as a target, and what its requests are signed with, the newest first."""

    account: str
    region: str
    name: str
    url: str
    secrets: tuple[WebhookSecret, ...]
    created_at: datetime
    modified_at: datetime

    @property
    def key(self) -> str:
        return webhook_key(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        return arns.webhook_arn(self.region, self.account, self.name)


class FailingTarget(Resource, frozen=True, kw_only=True, tag="failing-target"):
    """A target of an account's rules that fails without a success since `since`; gone once it works.

    `error` and `message` are of the failure at which it was written, `told_at` is when the account was told,
    and nothing is sent to it since `disabled_at`.
    """

    account: str
    region: str
    arn: str
    rule_arn: str
    since: datetime
    failures: int
    error: str
    message: str
    told_at: datetime | None = None
    disabled_at: datetime | None = None

    @property
    def key(self) -> str:
        return failing_target_key(self.account, self.region, self.arn)


class ScheduleProgress(Resource, frozen=True, kw_only=True, tag="schedule-progress"):
    """Whatever any schedule of this node had due up to `fired_until` was stored."""

    fired_until: datetime

    @property
    def key(self) -> str:
        return SCHEDULE_PROGRESS_KEY


AnyResource = (
    Account
    | AccessKey
    | PartnerSource
    | EventBus
    | Rule
    | Connection
    | ApiDestination
    | Webhook
    | FailingTarget
    | ScheduleProgress
)

SCHEDULE_PROGRESS_KEY = "schedule-progress"

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyResource] = msgspec.json.Decoder(AnyResource)


def encode_resource(resource: AnyResource) -> bytes:
    """The registry value of a resource."""
    return _encoder.encode(resource)


def decode_resource(value: bytes) -> AnyResource:
    """The resource in a registry value."""
    return _decoder.decode(value)


def account_key(account: str) -> str:
    return f"account:{account}"


def access_key_key(access_key: str) -> str:
    return f"access-key:{access_key}"


def source_key(region: str, name: str) -> str:
    return f"source:{region}:{name}"


def bus_key(account: str, region: str, name: str) -> str:
    return f"bus:{account}:{region}:{name}"


def rule_key(account: str, region: str, bus: str, name: str) -> str:
    return f"rule:{account}:{region}:{bus}:{name}"


def connection_key(account: str, region: str, name: str) -> str:
    return f"connection:{account}:{region}:{name}"


def failing_target_key(account: str, region: str, arn: str) -> str:
    return f"failing-target:{account}:{region}:{arn}"


def api_destination_key(account: str, region: str, name: str) -> str:
    return f"api-destination:{account}:{region}:{name}"


def webhook_key(account: str, region: str, name: str) -> str:
    return f"webhook:{account}:{region}:{name}"
