"""Where copies of the tables lie in the cluster: an object store beside the stream, `NAME-copies`."""

import base64
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import nats.js.errors
from nats.js.api import ObjectStoreConfig
from nats.js.object_store import ObjectStore

from partnerbus.store.jetstream.parts import describe, description_subject, fetch_object
from partnerbus.store.jetstream.session import Anything, ApiError, Session
from partnerbus.store.jetstream.stream import Stream

LEFT_AFTER = timedelta(hours=1)
"""Whoever has added no part to a copy for so long was killed."""


class _SubjectState(msgspec.Struct):
    subjects: dict[str, int] | None = None


class _Subjects(msgspec.Struct):
    state: _SubjectState


class _Taken(msgspec.Struct):
    time: datetime


class _Last(msgspec.Struct):
    message: _Taken


def bucket_of(name: str) -> str:
    """The object store with the copies of the stream of that name."""
    return f"{name}-copies"


async def sequences_in(session: Session, bucket: str) -> Sequence[int]:
    """Those of all copies there, the newest first, whether or not there is a stream."""
    names = [subject.rpartition(".")[2] for subject in await _subjects_in(session, bucket, "M")]
    return sorted((int(base64.urlsafe_b64decode(name)) for name in names), reverse=True)


async def _subjects_in(session: Session, bucket: str, kind: str) -> Collection[str]:
    body = {"subjects_filter": f"$O.{bucket}.{kind}.>"}
    try:
        found = await session.call(f"STREAM.INFO.OBJ_{bucket}", body, _Subjects)
    except ApiError as error:
        if error.is_not_found:
            return []
        raise
    return found.state.subjects or {}


class Shelf:
    """Where the copies of a stream lie in the cluster."""

    def __init__(self, session: Session, stream: Stream) -> None:
        self._session = session
        self.bucket = bucket_of(stream.name)
        self._stream = f"OBJ_{self.bucket}"
        self._replicas = stream.replicas

    async def make(self) -> None:
        """Make it, if it is not there."""
        await self._store(make=True)

    async def remove(self) -> None:
        """Take it away, with all that is on it."""
        try:
            await self._session.call(f"STREAM.DELETE.{self._stream}", {}, Anything)
        except ApiError as error:
            if not error.is_not_found:
                raise

    async def newest(self) -> int:
        """The sequence of the newest copy, 0 if there is none."""
        return max(await self.sequences(), default=0)

    async def put(self, sequence: int, file: Path) -> None:
        """Keep `file` as the copy of the tables after the message `sequence`."""
        with file.open("rb") as data:
            await (await self._store(make=True)).put(copy_name(sequence), data)

    async def fetch(
        self, sequence: int, file: Path, advance: Callable[[int], object] = lambda _: None
    ) -> None:
        """Write that copy into `file`, which may hold the beginning of it (`parts.fetch_object`)."""
        await fetch_object(self._session, self.bucket, copy_name(sequence), file, advance)

    async def size(self, sequence: int) -> int:
        """How many bytes that copy has."""
        return (await describe(self._session, self.bucket, copy_name(sequence))).size

    async def drop(self, before: int) -> None:
        """Let go of the copies before that of the message `before`, and of those that were never whole.

        It publishes nothing, so it needs no room.
        """
        for sequence in await self.sequences():
            if sequence < before:
                parts = await self._parts_of(sequence)
                await self._purge(description_subject(self.bucket, copy_name(sequence)))
                await self._purge(parts)
        whole = {await self._parts_of(sequence) for sequence in await self.sequences()}
        for parts in await self._subjects("C"):
            if parts not in whole and await self._is_left(parts):
                await self._purge(parts)

    async def _parts_of(self, sequence: int) -> str:
        found = await describe(self._session, self.bucket, copy_name(sequence))
        return f"$O.{self.bucket}.C.{found.nuid}"

    async def _is_left(self, parts: str) -> bool:
        """Whether nobody adds to them any more."""
        body = {"last_by_subj": parts}
        last = await self._session.call(f"STREAM.MSG.GET.{self._stream}", body, _Last)
        return self._session.clock.now() >= last.message.time + LEFT_AFTER

    async def _purge(self, subject: str) -> None:
        await self._session.call(f"STREAM.PURGE.{self._stream}", {"filter": subject}, Anything)

    async def sequences(self) -> Sequence[int]:
        """Those of all copies, the newest first."""
        return await sequences_in(self._session, self.bucket)

    async def _subjects(self, kind: str) -> Collection[str]:
        return await _subjects_in(self._session, self.bucket, kind)

    async def _store(self, *, make: bool = False) -> ObjectStore:
        context = self._session.client.jetstream()
        if make:
            with suppress(nats.js.errors.BadRequestError):  # somebody else has just made it
                return await context.create_object_store(
                    self.bucket, ObjectStoreConfig(replicas=self._replicas)
                )
        return await context.object_store(self.bucket)


def copy_name(sequence: int) -> str:
    """What the copy of the tables after that message is called."""
    return f"{sequence:020}"
