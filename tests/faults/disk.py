"""A disk that fails when a test says so, under a real server.

    with Disk(folder, tmp_path / "calls") as disk:
        server = ServerProcess(folder, …, program=disk.program)
        await server.start()
        disk.state = State.FULL

The server's calls that write a file at a place (SQLite's) or sync any file are answered here, by seccomp's
user notification: with the error of the disk's state, or by letting them through. What was in a file when it
was synced is remembered, and so are the names of a folder that was synced: `restore_after_power_cut` leaves
in the folder what a power cut would, were everything lost that was not synced. A sync that failed has dropped
what it should have written, as Linux does: a later one that succeeds does not bring it back.
"""

import errno
import fcntl
import os
import platform
import select
import socket
import stat
import struct
import sys
import threading
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.faults import launch_filtered

_NOTIFICATION = struct.Struct("=QIIiIQ6Q")  # id, pid, flags, number, architecture, instruction, arguments
_ANSWER = struct.Struct("=QqiI")  # id, value, error, flags
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_LET_THROUGH = 1
_PAUSE_MILLISECONDS = 50
_PAGE = 4_096


class State(Enum):
    """What the disk does."""

    FINE = "everything is written and synced"
    FULL = "no file may grow"
    UNSYNCED = "a sync fails, and nobody knows what is on the disk"
    READ_ONLY = "nothing is written"


class _Call(NamedTuple):
    id: int
    thread: int
    number: int
    arguments: tuple[int, ...]

    @property
    def file(self) -> str:
        return f"/proc/{self.thread}/fd/{self.arguments[0]}"


class Disk:
    """The disk under `folder`. `calls` is a path for a socket."""

    def __init__(self, folder: Path, calls: Path) -> None:
        self.state = State.FINE
        self.refused = 0
        """How many calls got an error."""
        self._folder = folder
        self._address = calls
        self._write, *self._syncs = launch_filtered.NUMBERS[platform.machine()]
        self._socket = socket.socket(socket.AF_UNIX)
        self._is_open = True
        self._is_cut = False
        self._lock = threading.Lock()
        self._contents: dict[int, bytes] = {}
        self._dropped: dict[int, bytes] = {}
        self._names: dict[Path, dict[str, int]] = {}
        self._thread = threading.Thread(target=self._accept, name="disk")

    @property
    def program(self) -> Sequence[str]:
        """What a server on this disk is started with."""
        return (sys.executable, str(Path(launch_filtered.__file__)), str(self._address))

    def cut_power(self) -> None:
        """From now on nothing that the server believes to be synced is."""
        with self._lock:
            self._is_cut = True

    def restore_after_power_cut(self) -> None:
        """Leave in the folder what had been synced; the server must be gone."""
        names = {path: dict(found) for path, found in self._names.items()}
        kept = {
            path / name: self._contents.get(inode, b"")
            for path, found in names.items()
            for name, inode in found.items()
        }
        for path in sorted(self._folder.rglob("*"), reverse=True):
            if path.is_file():
                path.unlink()
        self._contents.clear()
        self._dropped.clear()
        self._names.clear()
        for path, content in kept.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o600)
            self._contents[path.stat().st_ino] = content
            self._names.setdefault(path.parent, {})[path.name] = path.stat().st_ino
        self._is_cut = False

    def __enter__(self) -> Self:
        self._socket.bind(str(self._address))
        self._socket.listen()
        self._socket.settimeout(_PAUSE_MILLISECONDS / 1_000)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        self._thread.join()
        self._socket.close()

    # -- in the thread ---------------------------------------------------------------------------------

    def _accept(self) -> None:
        while self._is_open:
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            with connection:
                _, (listener,), _, _ = socket.recv_fds(connection, 1, 1)
            try:
                self._serve(listener)
            finally:
                os.close(listener)

    def _serve(self, listener: int) -> None:
        """Answer the calls of one server until it is gone."""
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        while self._is_open:
            for _, event in poll.poll(_PAUSE_MILLISECONDS):
                if not event & select.POLLIN:
                    return
                self._answer_one(listener)

    def _answer_one(self, listener: int) -> None:
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(listener, _RECEIVE, buffer)
            id_, thread, _, number, _, _, *arguments = _NOTIFICATION.unpack(buffer)
            error = self._judge(_Call(id_, thread, number, tuple(arguments)))
            answer = _ANSWER.pack(id_, 0, -error, 0 if error else _LET_THROUGH)
            fcntl.ioctl(listener, _SEND, bytearray(answer))
        except (FileNotFoundError, ProcessLookupError):
            return  # who called was killed

    def _judge(self, call: _Call) -> int:
        """The error that the call gets, 0 if none."""
        if call.number in self._syncs:
            error = errno.EIO if self.state is State.UNSYNCED else 0
            self._sync(call, is_kept=not error)
        elif self.state is State.READ_ONLY:
            error = errno.EROFS
        else:
            error = errno.ENOSPC if self.state is State.FULL and self._grows(call) else 0
        self.refused += bool(error)
        return error

    def _grows(self, call: _Call) -> bool:
        _, _, size, at, *_ = call.arguments
        return at + size > Path(call.file).stat().st_size

    def _sync(self, call: _Call, *, is_kept: bool) -> None:
        with self._lock:
            if self._is_cut:
                return
            path = Path(call.file)
            found = path.stat()
            if not stat.S_ISDIR(found.st_mode):
                self._sync_file(path, found.st_ino, is_kept=is_kept)
            elif is_kept and path.readlink().is_relative_to(self._folder):
                folder = path.readlink()
                files = (each for each in folder.iterdir() if not each.is_dir())  # folders stay as they are
                self._names[folder] = {each.name: each.stat().st_ino for each in files}

    def _sync_file(self, path: Path, inode: int, *, is_kept: bool) -> None:
        content = path.read_bytes()
        if not is_kept:
            self._dropped[inode] = content
        elif inode in self._dropped:
            self._contents[inode] = _without(content, self._dropped[inode], self._contents.get(inode, b""))
        else:
            self._contents[inode] = content


def _without(content: bytes, dropped: bytes, kept: bytes) -> bytes:
    """`content`, save the pages that were not written since they were dropped: they are as they were kept."""
    pages = []
    for at in range(0, len(content), _PAGE):
        page = content[at : at + _PAGE]
        is_new = page != dropped[at : at + _PAGE]
        pages.append(page if is_new else kept[at : at + _PAGE].ljust(len(page), b"\0"))
    return b"".join(pages)
