"""A client that sends whatever it is told, on one connection that is kept."""

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
import pytest

from partnerbus.node.folder import DataFolder

REGION = "us-east-1"
CONTENT_TYPE = "application/x-amz-json-1.1"

Members = dict[str, Any]


class Reply(msgspec.Struct, frozen=True):
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body) if self.body else {}


class Refused(Exception):
    """The answer is an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


class Client:
    """Calls as one account in one region of a server that takes anybody's word.

    `connection_arn` is that of a connection of the account, once somebody made one.
    """

    def __init__(self, url: str, account: str, region: str = REGION) -> None:
        self.url, self.account, self.region = url, account, region
        self.connection_arn = ""
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=120)

    def headers(self, operation: str) -> dict[str, str]:
        credential = f"Credential={self.account}/20260101/{self.region}/events/aws4_request"
        return {
            "Content-Type": CONTENT_TYPE,
            "X-Amz-Target": f"AWSEvents.{operation}",
            "Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=00",
        }

    def send(self, operation: str, body: bytes, **changed: str) -> Reply:
        """Send bytes as the body; headers may be changed (`Content_Type=...`), empty ones go."""
        given = self.headers(operation) | {name.replace("_", "-"): text for name, text in changed.items()}
        return self.request("POST", "/", body, {name: text for name, text in given.items() if text})

    def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        try:
            self._connection.request(method, path, body=body, headers=headers)
            answer = self._connection.getresponse()
            return Reply(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        except (HTTPException, OSError):
            self._connection.close()
            raise

    def __call__(self, operation: str, /, **members: object) -> dict[str, Any]:
        """The answer's members; `Refused` if it is an error."""
        reply = self.send(operation, json.dumps(members).encode())
        if reply.status != 200:
            raise Refused(reply.status, reply.json["__type"], reply.json["message"])
        return reply.json

    def refusal(self, operation: str, /, **members: object) -> tuple[str, str]:
        """Code and sentence of the refusal that this call meets."""
        with pytest.raises(Refused) as caught:
            self(operation, **members)
        assert caught.value.status == 400, caught.value
        return caught.value.code, caught.value.message

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Desk:
    """The operator of a server, at its admin face."""

    def __init__(self, data: Path) -> None:
        found = DataFolder(data).read_operator()
        assert found is not None
        self._headers = {"Authorization": f"Bearer {found.token}"}
        self._client = Client(found.url, "")

    def __call__(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        sent = b"" if body is None else json.dumps(body).encode()
        reply = self._client.request(method, f"/_partnerbus{path}", sent, self._headers)
        assert reply.status == 200, reply.body
        return reply.json

    def close(self) -> None:
        self._client.close()
