"""Webhooks through the whole server: made on the command line, signed, retried, never shown."""

from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from partnerbus.testing.receiver import Respond
from tests.cli.commands import partnerbus
from tests.main_job.story import ACME, CUSTOMER, REGION, Story, begin, run

pytestmark = pytest.mark.slow

SOURCE = "aws.partner/acme.com/orders"
PATTERN = {"source": [SOURCE]}
ENTRY = {"Source": SOURCE, "DetailType": "order", "Detail": '{"n":1}'}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def create(story: Story) -> Any:
    return await story.command("webhook", "create", "hook", "--url", f"{story.receiver.url}/hook", "--json")


async def test_an_attempt_that_is_repeated_has_the_same_id_and_good_signatures(story: Story) -> None:
    made = await create(story)
    assert made["arn"] == f"arn:partnerbus:webhook:{REGION}:{CUSTOMER}:hook"
    await story.offer(ACME, SOURCE)
    await story.rule(SOURCE, "r", PATTERN, made["arn"])
    story.receiver.script("/hook", Respond(status=503), Respond(status=200))
    rotated = await story.command("webhook", "rotate", "hook", "--keep", "1h", "--json")
    [event_id] = await story.put(ACME, ENTRY)
    events = await story.arrived("hook", 2)
    assert [event["id"] for event in events] == [event_id, event_id]
    requests = story.receiver.requests
    assert len({request.headers["webhook-id"] for request in requests}) == 1
    for request in requests:
        for secret in (made["secret"], rotated["secret"]):
            Verifier(secret).verify(request.body, request.headers)


async def test_its_secret_is_in_no_file_and_no_answer(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with begin(tmp_path / "data", "--log-level", "debug", log=log) as story:
        secret = (await create(story))["secret"]
        await story.offer(ACME, SOURCE)
        await story.rule(SOURCE, "r", PATTERN, f"arn:partnerbus:webhook:{REGION}:{CUSTOMER}:hook")
        story.receiver.script("/hook", Respond(status=400, body=secret.encode()))
        await story.put(ACME, ENTRY)
        [letter] = await story.dead_letters(1)
        for command in (
            ["webhook", "show", "hook"],
            ["webhook", "list"],
            ["dead-letters", "show", letter["id"]],
        ):
            done = await partnerbus(*command, "--data", str(tmp_path / "data"))
            assert done.status == 0, done.err
            assert "whsec" not in done.out
        await story.server.stop()
    key = secret.removeprefix("whsec_").encode()
    files = await run(contents, tmp_path)
    assert log in files
    assert [path for path, content in files.items() if key in content] == []


async def test_a_private_url_is_refused_at_creation_unless_allowed(tmp_path: Path) -> None:
    async with begin(tmp_path / "data", "--no-allow-private-targets") as story:
        options = ["--data", str(tmp_path / "data"), "--url", story.receiver.url]
        done = await partnerbus("webhook", "create", "hook", *options)
        assert (done.status, done.err) == (1, "Error: The URL's address is not allowed as a target.\n")
        targets: Any = [{"Id": "1", "Arn": f"arn:partnerbus:webhook:{REGION}:{CUSTOMER}:hook"}]
        customer = story.client(CUSTOMER)
        await run(customer.put_rule, Name="r", EventPattern='{"source":["x"]}')
        answer = await run(customer.put_targets, Rule="r", Targets=targets)
        [failed] = answer["FailedEntries"]
        assert failed["ErrorMessage"] == "The webhook does not exist."
