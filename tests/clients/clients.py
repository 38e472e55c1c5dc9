"""One seam before the clients, so that one story can be told through each of them.

Members and answers are those of the API, as the client takes and gives them; only instants differ (boto3
gives a datetime, the JavaScript SDK a text, the AWS CLI a number).
"""

import asyncio
import json
import os
import re
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

import boto3
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from tests.main_job.story import KEYS, REGION, run

Answer: TypeAlias = dict[str, Any]

JAVASCRIPT = Path(__file__).parent / "javascript"
AWS_CLI = Path(sys.executable).with_name("aws")
ANSWER_BYTES = 2**20
REFUSED = re.compile(
    r"An error occurred \((\w+)\) when calling the \w+ operation(?: \(.*?\))?: (.*)", re.DOTALL
)


class Refused(Exception):
    """The server refused, and the client understood. `kind` is the class it has for this, or the code."""

    def __init__(self, code: str, sentence: str, kind: str) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence
        self.kind = kind


class Client(Protocol):
    """A client with an account's keys. Everything but these is the client's default."""

    name: ClassVar[str]

    async def call(self, operation: str, **members: Any) -> Answer:
        """The members of the answer; raises `Refused`."""
        ...

    async def close(self) -> None: ...


Open: TypeAlias = Callable[[str, str], Client]
"""Opens a client for a server's URL and an account."""


def environment(url: str, account: str) -> dict[str, str]:
    """What AWS's clients read: nothing of whoever runs the tests, no file, no look at the network."""
    key, secret = KEYS[account]
    return {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class Boto3:
    """boto3, in this process."""

    name = "boto3"

    def __init__(self, url: str, account: str) -> None:
        key, secret = KEYS[account]
        self._client = boto3.client(
            "events",
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )

    async def call(self, operation: str, **members: Any) -> Answer:
        try:
            answer: Answer = await run(getattr(self._client, xform_name(operation)), **members)
        except ClientError as error:
            told = error.response["Error"]
            raise Refused(told["Code"], told["Message"], type(error).__name__) from None
        del answer["ResponseMetadata"]
        return answer

    async def close(self) -> None:
        self._client.close()


class AwsCli:
    """The AWS CLI, a process for each call."""

    name = "AWS CLI"

    def __init__(self, url: str, account: str) -> None:
        self._environment = environment(url, account)

    async def call(self, operation: str, **members: Any) -> Answer:
        process = await asyncio.create_subprocess_exec(
            *(AWS_CLI, "events", xform_name(operation, "-")),
            *("--cli-input-json", json.dumps(members), "--output", "json"),
            env=self._environment,
            stdout=PIPE,
            stderr=PIPE,
        )
        out, err = await process.communicate()
        if process.returncode != 0:
            raise _refused(err.decode())
        answer: Answer = json.loads(out or b"{}")
        return answer

    async def close(self) -> None:
        pass


def _refused(told: str) -> Refused:
    found = REFUSED.search(told)
    assert found is not None, told
    code, sentence = found.groups()
    return Refused(code, sentence.strip(), code)


class JavaScript:
    """The AWS SDK for JavaScript, in a process that lives as long as the client."""

    name = "JavaScript"

    def __init__(self, url: str, account: str) -> None:
        self._environment = environment(url, account)
        self._process: Process | None = None

    async def call(self, operation: str, **members: Any) -> Answer:
        process = self._process = self._process or await self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"operation": operation, "members": members}).encode() + b"\n")
        line = await process.stdout.readline()
        assert line, f"the JavaScript client ended with status {await process.wait()}"
        told = json.loads(line)
        if "refused" in told:
            raise Refused(**told["refused"])
        answer: Answer = told["answer"]
        return answer

    async def _start(self) -> Process:
        return await asyncio.create_subprocess_exec(
            "node",
            JAVASCRIPT / "caller.mjs",
            env=self._environment,
            stdin=PIPE,
            stdout=PIPE,
            limit=ANSWER_BYTES,
        )

    async def close(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.communicate()


def require_javascript() -> None:
    """Skip the test, or let it fail where everything must be there, if the JavaScript SDK is not."""
    if shutil.which("node") and (JAVASCRIPT / "node_modules").exists():
        return
    missing = "no JavaScript SDK: `make javascript` installs it, with Node.js 20 or newer and npm"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
