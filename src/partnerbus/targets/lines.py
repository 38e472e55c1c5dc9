"""Targets for development: each event is a line of JSON, at the end of a file or on standard output.

Nothing here waits for the disk: what was delivered survives kill -9 of this node, but not a power cut. Of
each kind one line is written at a time, by a thread of its own, so that a file system or a terminal that is
stuck holds up nobody else.
"""

import asyncio
import os
import re
import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec

from partnerbus.kernel.clock import Clock
from partnerbus.model.arns import Arn
from partnerbus.model.reply import ACCEPTED, ErrorCode, Reply
from partnerbus.model.resources import Rule, Target
from partnerbus.targets.invoker import Invocation
from partnerbus.targets.outbound import CALL_TIMEOUT
from partnerbus.targets.own_arns import FOREIGN, foreign

NO_FILES = "Files are no targets on this node, unless its operator says where: file-targets."
NO_STDOUT = "Standard output is no target on this node, unless its operator says so: stdout-targets."
FILE_FORM = (
    "The ARN must end with the name of a file: up to 100 letters, digits, '_', '-' and '.', not a '.' first."
)

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


def as_line(payload: bytes) -> bytes:
    """The input as one line of JSON: without white space, or as a string if it is not JSON."""
    try:
        return msgspec.json.format(payload, indent=-1) + b"\n"
    except (msgspec.DecodeError, RecursionError):
        return msgspec.json.encode(payload.decode(errors="replace")) + b"\n"


class _Writer:
    """One thread that writes. What takes too long, or goes wrong, is a reply."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def write(self, write: Callable[[], None]) -> Reply:
        try:
            async with self._clock.timeout(CALL_TIMEOUT):
                await asyncio.get_running_loop().run_in_executor(self._thread, write)
        except TimeoutError:
            return Reply(error=ErrorCode.TIMEOUT, message="Writing took too long.", retryable=True)
        except OSError as error:
            message = f"The line could not be written: {error.strerror or 'it is closed'}."
            return Reply(error=ErrorCode.ERROR_FROM_TARGET, message=message, retryable=True)
        return ACCEPTED

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


class FileInvoker:
    """Appends to files in `folder`, in which each account has a folder of its own; None allows no files."""

    kind = "file"

    def __init__(self, folder: Path | None, clock: Clock) -> None:
        self._folder = folder
        self._writer = _Writer(self.kind, clock)

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """The operator must have said where files may be, and the name must not lead out of there."""
        if self._folder is None:
            return NO_FILES
        arn = Arn.parse(target.arn)
        if arn is None or not _NAME.fullmatch(arn.resource):
            return FILE_FORM
        return foreign(arn, rule)

    async def invoke(self, invocation: Invocation) -> Reply:
        """Append the line."""
        refusal = self.refusal(invocation.target, invocation.rule)
        arn = Arn.parse(invocation.target.arn)
        if refusal is not None or self._folder is None or arn is None:
            return Reply(error=ErrorCode.NO_PERMISSIONS, message=refusal or NO_FILES)
        path = self._folder / arn.account / arn.resource
        return await self._writer.write(partial(append, path, as_line(invocation.payload)))

    async def close(self) -> None:
        """Write no more."""
        await self._writer.close()


class StdoutInvoker:
    """Writes to standard output, or to whatever `write` writes to; None allows nothing."""

    kind = "stdout"

    def __init__(self, write: Callable[[bytes], None] | None, clock: Clock) -> None:
        self._write = write
        self._writer = _Writer(self.kind, clock)

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """The operator must have allowed it; the ARN's last part may be anything."""
        if self._write is None:
            return NO_STDOUT
        arn = Arn.parse(target.arn)
        return FOREIGN if arn is None else foreign(arn, rule)

    async def invoke(self, invocation: Invocation) -> Reply:
        """Write the line."""
        refusal = self.refusal(invocation.target, invocation.rule)
        if refusal is not None or self._write is None:
            return Reply(error=ErrorCode.NO_PERMISSIONS, message=refusal or NO_STDOUT)
        return await self._writer.write(partial(self._write, as_line(invocation.payload)))

    async def close(self) -> None:
        """Write no more."""
        await self._writer.close()


def append(path: Path, line: bytes) -> None:
    """Append `line` to a regular file, which is made if need be, wholly or not at all; blocks.

    Raises `OSError`. A link is not followed, and a pipe or device is not written to.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o600)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "it is not a file")
        _append(descriptor, line, found.st_size)
    finally:
        os.close(descriptor)


def _append(descriptor: int, line: bytes, size: int) -> None:
    rest = memoryview(line)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        os.ftruncate(descriptor, size)  # no half lines
        raise


def to_stdout(line: bytes) -> None:
    """Write to this process's standard output; blocks. Raises `OSError`."""
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
