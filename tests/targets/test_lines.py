"""Files and standard output as targets."""

import errno
import os
from pathlib import Path

import msgspec
import pytest

from partnerbus.kernel.clock import SystemClock
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.targets.lines import (
    FILE_FORM,
    NO_FILES,
    NO_STDOUT,
    FileInvoker,
    StdoutInvoker,
    append,
    as_line,
    to_stdout,
)
from partnerbus.targets.own_arns import FOREIGN
from tests.targets.things import ACCOUNT, REGION, a_rule, a_target, an_invocation

FILE = f"arn:partnerbus:file:{REGION}:{ACCOUNT}:orders.jsonl"
STDOUT = f"arn:partnerbus:stdout:{REGION}:{ACCOUNT}:orders"


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        (b'{"n": 1.0,\n "big": 12345678901234567890.10}', b'{"n":1.0,"big":12345678901234567890.10}\n'),
        (b'"text\\n"', b'"text\\n"\n'),
        (b"two\nlines", b'"two\\nlines"\n'),
        (b"", b'""\n'),
        (b"[" * 100_000, b'"' + b"[" * 100_000 + b'"\n'),
    ],
)
def test_an_input_is_one_line(payload: bytes, line: bytes):
    assert as_line(payload) == line


def is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


async def send(invoker: FileInvoker | StdoutInvoker, arn: str, *payloads: bytes) -> list[Reply]:
    replies = [await invoker.invoke(an_invocation(a_target(arn), payload)) for payload in payloads]
    await invoker.close()
    return replies


async def test_lines_are_appended_below_the_account_s_folder(tmp_path: Path):
    replies = await send(FileInvoker(tmp_path, SystemClock()), FILE, b'{"n":1}', b'{"n":2}')
    assert [reply.accepted for reply in replies] == [True, True]
    file = tmp_path / ACCOUNT / "orders.jsonl"
    assert file.read_bytes() == b'{"n":1}\n{"n":2}\n'
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "name", ["..", ".", ".hidden", "../x", "a/b", "/etc/passwd", "a\\b", "a\0b", "x" * 101, "a:b", "a b"]
)
async def test_a_name_leads_nowhere_else(tmp_path: Path, name: str):
    invoker = FileInvoker(tmp_path / "files", SystemClock())
    target = a_target(f"arn:partnerbus:file:{REGION}:{ACCOUNT}:{name}")
    assert invoker.refusal(target, a_rule()) == FILE_FORM
    [reply] = await send(invoker, target.arn, b"{}")
    assert (reply.error, reply.retryable) == (ErrorCode.NO_PERMISSIONS, False)
    assert is_empty(tmp_path)


@pytest.mark.parametrize("account", ["999988887777", "..", ""])
async def test_another_account_s_file_is_not_written(tmp_path: Path, account: str):
    invoker = FileInvoker(tmp_path, SystemClock())
    target = a_target(FILE.replace(ACCOUNT, account))
    assert invoker.refusal(target, a_rule()) == FOREIGN
    await send(invoker, target.arn, b"{}")
    assert is_empty(tmp_path)


def test_both_are_off_unless_the_operator_says_so(tmp_path: Path):
    clock = SystemClock()
    assert FileInvoker(None, clock).refusal(a_target(FILE), a_rule()) == NO_FILES
    assert FileInvoker(tmp_path, clock).refusal(a_target(FILE), a_rule()) is None
    assert StdoutInvoker(None, clock).refusal(a_target(STDOUT), a_rule()) == NO_STDOUT
    assert StdoutInvoker(to_stdout, clock).refusal(a_target(STDOUT), a_rule()) is None


async def test_a_link_is_not_followed_and_a_pipe_not_written_to(tmp_path: Path):
    folder, elsewhere = tmp_path / ACCOUNT, tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.touch()
    (folder / "link").symlink_to(elsewhere)
    os.mkfifo(folder / "pipe")
    for name in ("link", "pipe"):
        [reply] = await send(FileInvoker(tmp_path, SystemClock()), FILE.replace("orders.jsonl", name), b"{}")
        assert (reply.error, reply.retryable) == (ErrorCode.ERROR_FROM_TARGET, True)
    assert elsewhere.read_bytes() == b""


async def test_a_folder_that_is_gone_is_tried_again(tmp_path: Path):
    [reply] = await send(FileInvoker(tmp_path / "gone", SystemClock()), FILE, b"{}")
    assert (reply.message, reply.retryable) == (
        "The line could not be written: No such file or directory.",
        True,
    )


def test_a_line_that_does_not_fit_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "f"
    append(file, b"whole\n")
    write = os.write
    left = [3]

    def full(descriptor: int, data: bytes) -> int:
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[: left.pop()])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        append(file, b"another\n")
    assert file.read_bytes() == b"whole\n"


async def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]):
    [reply] = await send(StdoutInvoker(to_stdout, SystemClock()), STDOUT, b'{ "n": 1 }')
    assert reply.accepted
    assert capfdbinary.readouterr().out == b'{"n":1}\n'


async def test_standard_output_that_is_gone():
    def broken(_: bytes) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    [reply] = await send(StdoutInvoker(broken, SystemClock()), STDOUT, b"{}")
    assert (reply.error, reply.retryable) == (ErrorCode.ERROR_FROM_TARGET, True)


async def test_another_account_s_rule_writes_nothing():
    lines: list[bytes] = []
    foreign = msgspec.structs.replace(an_invocation(a_target(STDOUT)), rule=a_rule("999988887777"))
    invoker = StdoutInvoker(lines.append, SystemClock())
    reply = await invoker.invoke(foreign)
    await invoker.close()
    assert (reply.error, lines) == (ErrorCode.NO_PERMISSIONS, [])
