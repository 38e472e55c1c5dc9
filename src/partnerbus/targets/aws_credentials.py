"""Whose credentials sign a call: botocore's chain, or for an emulator the account itself."""

import asyncio
from datetime import datetime, timedelta

import botocore.session
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError

from partnerbus.kernel.clock import Clock

EMULATOR_SECRET = "partnerbus"  # noqa: S105 - emulators check no secret
"""With an endpoint URL and no credentials: the access key id is the account, the secret this word."""

CREDENTIALS_TIMEOUT = timedelta(seconds=10)
CREDENTIALS_PAUSE = timedelta(minutes=1)
"""How long finding credentials may take, and when it is tried again if there were none."""


class CredentialChain:
    """Credentials from botocore's chain (environment, files, the machine's role)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._finding = asyncio.Lock()
        self._found: Credentials | None = None
        self._look_again_at: datetime | None = None

    async def find(self) -> ReadOnlyCredentials | None:
        """Credentials to sign with; None if the chain has none. What may block runs in a thread."""
        found = self._found or await self._look()
        if isinstance(found, RefreshableCredentials) and found.refresh_needed():
            return await asyncio.to_thread(found.get_frozen_credentials)
        return None if found is None else found.get_frozen_credentials()

    async def _look(self) -> Credentials | None:
        async with self._finding:
            now = self._clock.now()
            if self._found is None and (self._look_again_at is None or now >= self._look_again_at):
                self._look_again_at = now + CREDENTIALS_PAUSE
                try:
                    async with self._clock.timeout(CREDENTIALS_TIMEOUT):
                        self._found = await asyncio.to_thread(_look_in_chain)
                except (TimeoutError, BotoCoreError):
                    pass  # none for now
        return self._found


def for_emulator(account: str) -> ReadOnlyCredentials:
    """What tells an emulator whose resource is meant."""
    return ReadOnlyCredentials(account, EMULATOR_SECRET, None)


def _look_in_chain() -> Credentials | None:
    return botocore.session.Session().get_credentials()
