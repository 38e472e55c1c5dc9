"""Secrets Manager as the tests script it."""

import json
from typing import Any

from partnerbus.testing.receiver import Received, Respond, Script
from tests.api.world import CUSTOMER, REGION


class Manager:
    """Secrets Manager, as far as it is called: by name or ARN, and its suffix is its own."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.calls = 0
        self.answer: Script | None = None
        """What it answers instead; what is asked of it is done all the same if it `hears`."""
        self.hears = False

    def respond(self, request: Received) -> Script:
        self.calls += 1
        if self.answer is not None and not self.hears:
            return self.answer
        operation = request.headers["x-amz-target"].removeprefix("secretsmanager.")
        given = json.loads(request.body)
        answer = getattr(self, operation)(given)
        return self.answer or answer

    def CreateSecret(self, given: dict[str, Any]) -> Respond:  # noqa: N802 - the operation's name
        if given["Name"] in self.secrets:
            return error("ResourceExistsException")
        self.secrets[given["Name"]] = given
        return self._found(given["Name"])

    def UpdateSecret(self, given: dict[str, Any]) -> Respond:  # noqa: N802
        name = given["SecretId"]
        if name not in self.secrets:
            return error("ResourceNotFoundException")
        self.secrets[name] = self.secrets[name] | given
        return self._found(name)

    def DeleteSecret(self, given: dict[str, Any]) -> Respond:  # noqa: N802
        assert given["ForceDeleteWithoutRecovery"] is True
        if given["SecretId"] not in self.secrets:
            return error("ResourceNotFoundException")
        answer = self._found(given["SecretId"])
        del self.secrets[given["SecretId"]]
        return answer

    def _found(self, name: str) -> Respond:
        return Respond(body=json.dumps({"ARN": self.arn(name), "Name": name}).encode())

    @staticmethod
    def arn(name: str) -> str:
        return f"arn:aws:secretsmanager:{REGION}:{CUSTOMER}:secret:{name}-AbCd12"

    def content(self) -> Any:
        """What the only secret holds."""
        [secret] = self.secrets.values()
        return json.loads(secret["SecretString"])


def error(code: str, status: int = 400) -> Respond:
    body = json.dumps({"__type": code, "message": "It was about sesame."}).encode()
    return Respond(status=status, body=body)


DOWN = error("InternalServiceError", 500)
REFUSED = error("AccessDeniedException")
