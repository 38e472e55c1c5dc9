"""Records, rules, targets and resources for tests of invokers."""

from datetime import UTC, datetime

import msgspec

from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.delivery import Record
from partnerbus.model.event import Event
from partnerbus.model.resources import (
    ApiDestination,
    AuthorizationType,
    ClientCertificate,
    Connection,
    ConnectionParameter,
    ConnectionState,
    EventBus,
    HttpParameters,
    OAuthExchange,
    Rule,
    RuleState,
    Target,
    Webhook,
    WebhookSecret,
)
from partnerbus.targets.invoker import Invocation

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNT = "123456789012"
REGION = "us-east-1"
SECRETS = SecretBox(b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
SECRET = 'pa"ss/wörd&1'


class Resources:
    """A `Lookup` over what it is given."""

    def __init__(self, *resources: ApiDestination | Connection | EventBus | Webhook) -> None:
        self._by_arn = {resource.arn: resource for resource in resources}

    def api_destination_by_arn(self, arn: str) -> ApiDestination | None:
        found = self._by_arn.get(arn)
        return found if isinstance(found, ApiDestination) else None

    def connection_by_arn(self, arn: str) -> Connection | None:
        found = self._by_arn.get(arn)
        return found if isinstance(found, Connection) else None

    def bus_by_arn(self, arn: str) -> EventBus | None:
        found = self._by_arn.get(arn)
        return found if isinstance(found, EventBus) else None

    def webhook_by_arn(self, arn: str) -> Webhook | None:
        found = self._by_arn.get(arn)
        return found if isinstance(found, Webhook) else None


def a_connection(
    authorization: AuthorizationType = AuthorizationType.API_KEY,
    user: str = "X-Api-Key",
    secret: str = SECRET,
    state: ConnectionState = ConnectionState.AUTHORIZED,
    parameters: tuple[ConnectionParameter, ...] = (),
    certificate: ClientCertificate | None = None,
) -> Connection:
    return Connection(
        account=ACCOUNT,
        region=REGION,
        name="c",
        uuid="u-1",
        secret_suffix="s",
        authorization=authorization,
        user=user,
        sealed_secret=SECRETS.seal(secret),
        state=state,
        created_at=NOW,
        modified_at=NOW,
        parameters=parameters,
        certificate=certificate,
    )


def an_oauth_connection(
    url: str, method: str = "POST", parameters: tuple[ConnectionParameter, ...] = (), secret: str = SECRET
) -> Connection:
    return msgspec.structs.replace(
        a_connection(AuthorizationType.OAUTH_CLIENT_CREDENTIALS, "client-1", secret),
        oauth=OAuthExchange(url=url, method=method, parameters=parameters),
    )


def a_destination(url: str, method: str = "POST", connection: Connection | None = None) -> ApiDestination:
    return ApiDestination(
        account=ACCOUNT,
        region=REGION,
        name="d",
        uuid="u-2",
        connection_arn=(connection or a_connection()).arn,
        url=url,
        method=method,
        created_at=NOW,
        modified_at=NOW,
    )


def a_bus(
    name: str = "other", account: str = ACCOUNT, region: str = REGION, source: str | None = None
) -> EventBus:
    return EventBus(
        account=account, region=region, name=name, log="l", created_at=NOW, modified_at=NOW, source=source
    )


def a_webhook(url: str, *secrets: WebhookSecret) -> Webhook:
    return Webhook(
        account=ACCOUNT, region=REGION, name="w", url=url, secrets=secrets, created_at=NOW, modified_at=NOW
    )


def a_webhook_secret(secret: str, expires_at: datetime | None = None) -> WebhookSecret:
    return WebhookSecret(sealed=SECRETS.seal(secret), created_at=NOW, expires_at=expires_at)


def a_target(arn: str, http: HttpParameters | None = None, group: str | None = None) -> Target:
    return Target(id="t", arn=arn, subscription="s", since=0, http=http, message_group_id=group)


def an_event(detail: bytes = b"{}") -> Event:
    return Event(
        id="e-1",
        detail_type="Order Placed",
        source="aws.partner/example.com/1",
        account=ACCOUNT,
        time="2026-01-01T00:00:00Z",
        region=REGION,
        detail=detail,
    )


def a_rule(account: str = ACCOUNT, created_by: str | None = None) -> Rule:
    """A rule on the default bus of `account`, made by that account or by another."""
    return Rule(
        account=account,
        region=REGION,
        bus="default",
        name="r",
        state=RuleState.ENABLED,
        created_by=created_by or account,
        created_at=NOW,
    )


def an_invocation(
    target: Target, payload: bytes = b'{"n":1.0}', detail: object = None, via: str | None = None
) -> Invocation:
    event = an_event(b"{}" if detail is None else msgspec.json.encode(detail))
    return Invocation(
        delivery_id="s-1",
        record=Record(log="l", position=1, stored_at=NOW, event=event, via=via),
        rule=a_rule(),
        target=target,
        payload=payload,
    )
