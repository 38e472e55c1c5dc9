"""An HTTP invoker over a real receiver, for the tests of API destinations."""

from partnerbus.kernel.clock import ManualClock
from partnerbus.model.reply import Reply
from partnerbus.model.resources import (
    Connection,
    ConnectionParameter,
    HttpParameters,
    ParameterPlace,
)
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.authorization import Opener
from partnerbus.targets.client_certificates import ClientContexts
from partnerbus.targets.http import HttpInvoker
from partnerbus.targets.outbound_client import HttpOutbound
from partnerbus.targets.tokens import Tokens
from partnerbus.testing.receiver import Received, Receiver, Script
from tests.targets.things import (
    SECRETS,
    Resources,
    a_connection,
    a_destination,
    a_target,
    an_invocation,
)


class Sending:
    """An HTTP invoker over one receiver."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.clock = ManualClock()
        self.outbound = HttpOutbound(self.clock, AddressGuard(allow_private=True))
        self.tokens = Tokens(SECRETS, self.outbound, self.clock)
        self.opener = Opener(SECRETS, self.tokens, ClientContexts(SECRETS))

    def invoker(self, path: str, method: str, connection: Connection) -> tuple[HttpInvoker, str]:
        destination = a_destination(self.receiver.url + path, method, connection)
        lookup = Resources(destination, connection)
        return self.invoker_of(lookup), destination.arn

    def invoker_of(self, lookup: Resources, outbound: HttpOutbound | None = None) -> HttpInvoker:
        return HttpInvoker(lookup, self.opener, outbound or self.outbound, self.clock)

    async def close(self) -> None:
        await self.tokens.close()
        await self.outbound.close()

    async def send(
        self,
        answer: Script | None = None,
        *,
        path: str = "/hook",
        method: str = "POST",
        http: HttpParameters | None = None,
        connection: Connection | None = None,
        payload: bytes = b'{"n":1.0}',
        detail: object = None,
    ) -> Reply:
        if answer is not None:
            self.receiver.script(path, answer)
        invoker, arn = self.invoker(path, method, connection or a_connection(secret="key"))
        return await invoker.invoke(an_invocation(a_target(arn, http), payload, detail))

    @property
    def last(self) -> Received:
        return self.receiver.requests[-1]


def parameter(place: ParameterPlace, name: str, value: str, *, secret: bool = False) -> ConnectionParameter:
    return ConnectionParameter(
        place=place, name=name, value=SECRETS.seal(value) if secret else value, is_secret=secret
    )
