"""Which operations are proved by which client: sets that the stories hold against what the server counted.

`python -m tests.clients.proofs` writes the table of docs/compatibility.md anew.
"""

import re
from collections.abc import Mapping, Set
from pathlib import Path

import aiohttp

from partnerbus.api.contract import load_contract
from partnerbus.api.v1.operations import OPERATIONS

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
TABLE = re.compile(r"^\| operation \| built .*?\n\n", re.MULTILINE | re.DOTALL)
ANSWERED = re.compile(
    r'^partnerbus_requests_total\{error="",operation="(\w+)",status="200"\} [1-9]', re.MULTILINE
)

PARTNER_STORY = frozenset(
    {
        "CreateApiDestination",
        "CreateConnection",
        "CreateEventBus",
        "CreatePartnerEventSource",
        "DeleteEventBus",
        "DeletePartnerEventSource",
        "DeleteRule",
        "DescribeEventSource",
        "DescribeRule",
        "ListEventSources",
        "ListPartnerEventSourceAccounts",
        "ListPartnerEventSources",
        "ListTargetsByRule",
        "PutPartnerEvents",
        "PutRule",
        "PutTargets",
        "RemoveTargets",
    }
)
"""What `test_partner_story` succeeds with, through every client."""

EVERY_OPERATION = frozenset(OPERATIONS)
"""What `test_every_operation` succeeds with, through the clients that are quick."""

PROVED_BY: Mapping[str, Set[str]] = {
    "boto3": EVERY_OPERATION,
    "AWS CLI": PARTNER_STORY,
    "JavaScript": EVERY_OPERATION,
}


async def answered(server: str) -> Set[str]:
    """The operations that a server has answered with success, as its own metrics say."""
    async with aiohttp.ClientSession() as session, session.get(f"{server}/metrics") as reply:
        return frozenset(ANSWERED.findall(await reply.text()))


def operations_table() -> str:
    """One row for each operation of the model, and an empty line."""
    rows = ["| operation | built | proved by |", "|---|---|---|"]
    for name in sorted(load_contract()):
        clients = ", ".join(client for client, proved in PROVED_BY.items() if name in proved)
        rows.append(f"| {name} | {'yes' if name in OPERATIONS else 'no'} | {clients} |")
    return "\n".join([*rows, "", ""])


def with_table(page: str) -> str:
    """The page with the table that the tests make."""
    return TABLE.sub(lambda _: operations_table(), page)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
