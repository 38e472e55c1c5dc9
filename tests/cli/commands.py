"""Runs commands as their users do: in a process of their own."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec


class Done(msgspec.Struct, frozen=True):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)


async def partnerbus(
    *arguments: str, environment: Mapping[str, str] | None = None, stdin: str = "", cwd: Path | None = None
) -> Done:
    """Run `partnerbus` with these arguments to its end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PARTNERBUS_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "partnerbus",
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        cwd=cwd,
        env=inherited | dict(environment or {}),
    )
    out, err = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


def is_one_sentence(text: str) -> bool:
    """Whether standard error holds nothing but a sentence for a person."""
    return text.startswith("Error: ") and text.count("\n") == 1 and "Traceback" not in text
