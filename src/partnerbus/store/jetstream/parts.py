"""The parts of one object of the cluster's object store, sent and fetched one by one.

What is interrupted goes on behind the last part that is there: each is published only behind the one before
it (`Nats-Expected-Last-Subject-Sequence`), so none is there twice or out of its order. To everybody else the
object is one like all others once its description is there, and absent before.
"""

import base64
import hashlib
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
import nats.errors

from partnerbus.kernel.errors import StoreUnavailable
from partnerbus.store.jetstream.session import CALL_TIMEOUT, Answer, Anything, ApiError, Session

T = TypeVar("T")

PATIENCE = timedelta(seconds=30)
"""How long a part may take: longer than a cluster takes to choose another leader."""

PAUSE = timedelta(milliseconds=250)

READ_AT_ONCE = 1024 * 1024

ABSENT = 10037
NOT_THE_LAST = 10071
EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"


class Part(msgspec.Struct, frozen=True, rename={"sequence": "seq"}):
    """A part as the cluster keeps it, and its sequence there."""

    sequence: int
    data: bytes = b""


class Description(msgspec.Struct, frozen=True):
    """What the object store says of a whole object; `nuid` is the name of its parts."""

    name: str
    bucket: str
    nuid: str
    size: int
    chunks: int
    digest: str
    mtime: str = ""
    deleted: bool = False


class _Found(msgspec.Struct):
    message: Part


class _State(msgspec.Struct):
    subjects: dict[str, int] | None = None


class _Info(msgspec.Struct):
    state: _State


class _Published(Answer):
    seq: int = 0


def digest_of(sha256: bytes) -> str:
    """A SHA-256 as the object store writes it."""
    return f"SHA-256={base64.urlsafe_b64encode(sha256).decode()}"


def description_subject(bucket: str, name: str) -> str:
    """Where the description of an object is kept."""
    return f"$O.{bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


async def describe(session: Session, bucket: str, name: str) -> Description:
    """The description of a whole object."""
    body = {"last_by_subj": description_subject(bucket, name)}
    found = await patiently(session, lambda: session.call(f"STREAM.MSG.GET.OBJ_{bucket}", body, _Found))
    return msgspec.json.decode(found.message.data, type=Description)


class Parts:
    """The parts with the name `nuid` in a bucket that is there."""

    def __init__(self, session: Session, bucket: str, nuid: str) -> None:
        self._session = session
        self._bucket = bucket
        self._nuid = nuid
        self._stream = f"OBJ_{bucket}"
        self._subject = f"$O.{bucket}.C.{nuid}"

    async def count(self) -> int:
        """How many there are."""
        body = {"subjects_filter": self._subject}
        info = await patiently(
            self._session, lambda: self._session.call(f"STREAM.INFO.{self._stream}", body, _Info)
        )
        return (info.state.subjects or {}).get(self._subject, 0)

    async def last(self) -> Part | None:
        """The last one."""
        return await self._get({"last_by_subj": self._subject})

    async def next(self, after: int) -> Part | None:
        """The first one behind the sequence `after`."""
        return await self._get({"seq": after + 1, "next_by_subj": self._subject})

    async def put(self, data: bytes, after: int) -> int:
        """Add one behind that with the sequence `after` (0: as the first); its sequence."""
        return await patiently(self._session, lambda: self._put(data, after))

    async def describe(self, name: str, size: int, chunks: int, sha256: bytes) -> None:
        """Make an object of them: what was not there before is whole now."""
        description = Description(
            name, self._bucket, self._nuid, size, chunks, digest_of(sha256), datetime.now(UTC).isoformat()
        )
        body, headers = msgspec.json.encode(description), {"Nats-Rollup": "sub"}
        subject = description_subject(self._bucket, name)
        await patiently(self._session, lambda: self._publish(subject, body, headers))

    async def cut(self, name: str, sequence: int) -> None:
        """Take away the object's description, and its parts from `sequence` on, to be sent anew."""
        body = {"filter": description_subject(self._bucket, name)}
        await self._session.call(f"STREAM.PURGE.{self._stream}", body, Anything)
        while (last := await self.last()) is not None and last.sequence >= sequence:
            gone = {"seq": last.sequence, "no_erase": True}
            await self._session.call(f"STREAM.MSG.DELETE.{self._stream}", gone, Anything)

    async def _put(self, data: bytes, after: int) -> int:
        try:
            return await self._publish(self._subject, data, {EXPECTED_LAST: str(after)})
        except ApiError as error:
            last = await self.last() if error.code == NOT_THE_LAST else None
            if last is None or last.sequence <= after or last.data != data:
                raise
            return last.sequence  # it was taken, and only the answer was lost

    async def _get(self, body: dict[str, object]) -> Part | None:
        call = f"STREAM.MSG.GET.{self._stream}"
        try:
            found = await patiently(self._session, lambda: self._session.call(call, body, _Found))
        except ApiError as error:
            if error.code == ABSENT:
                return None
            raise
        return found.message

    async def _publish(self, subject: str, data: bytes, headers: dict[str, str]) -> int:
        try:
            answer = await self._session.client.request(
                subject, data, timeout=CALL_TIMEOUT.total_seconds(), headers=headers
            )
        except (nats.errors.Error, OSError, TimeoutError):
            raise StoreUnavailable(
                f"{self._session.cluster} did not take a part in time. {self._session.denied}".strip()
            ) from None
        found = msgspec.json.decode(answer.data, type=_Published)
        if found.error is not None:
            raise ApiError(found.error.err_code, found.error.description)
        return found.seq


async def fetch_object(
    session: Session, bucket: str, name: str, file: Path, advance: Callable[[int], object] = lambda _: None
) -> None:
    """Write a whole object into `file`, behind the parts of it that are there already; verify all of it.

    `advance` is told how many bytes there are. Raises `StoreUnavailable` if it is not what was put; then the
    file is empty.
    """
    description = await describe(session, bucket, name)
    parts = Parts(session, bucket, description.nuid)
    with _open_begun(file) as data:
        after = await _after_held(parts, data)
        hashed = _hash_held(data, advance)
        while data.tell() < description.size and (part := await parts.next(after)) is not None:
            data.write(part.data)
            hashed.update(part.data)
            advance(len(part.data))
            after = part.sequence
        if description.deleted or digest_of(hashed.digest()) != description.digest:
            data.truncate(0)
            raise StoreUnavailable(f"What the cluster has as {bucket}/{name} is not what was put there.")
        data.flush()
        os.fsync(data.fileno())


def _open_begun(file: Path) -> BinaryIO:
    return os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), "r+b")


async def _after_held(parts: Parts, data: BinaryIO) -> int:
    """The sequence of the last part that `data` holds; 0 if it holds none, and then it is empty."""
    first = await parts.next(0)
    if first is not None and (count := os.fstat(data.fileno()).st_size // len(first.data)):
        last = await parts.next(first.sequence + count - 2)
        data.truncate(count * len(first.data))
        data.seek((count - 1) * len(first.data))
        if last is not None and data.read() == last.data:
            return last.sequence
    data.truncate(0)
    return 0


def _hash_held(data: BinaryIO, advance: Callable[[int], object]) -> "hashlib._Hash":
    hashed = hashlib.sha256()
    data.seek(0)
    while some := data.read(READ_AT_ONCE):
        hashed.update(some)
        advance(len(some))
    return hashed


async def patiently(session: Session, ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` gives, if the cluster answers within `PATIENCE`."""
    until = session.clock.now() + PATIENCE
    while True:
        try:
            return await ask()
        except StoreUnavailable:
            if session.clock.now() >= until:
                raise
        await session.clock.sleep(PAUSE)
