"""From PutPartnerEvents to those calls of AWS services that moto's emulator does not know."""

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from partnerbus.testing.receiver import Receiver
from tests.main_job.aws_world import SOURCE, ScriptedAws, arn, calling, is_event, put
from tests.main_job.story import Story

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aws() -> AsyncIterator[ScriptedAws]:
    async with Receiver() as receiver:
        yield ScriptedAws(receiver)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory, aws: ScriptedAws) -> AsyncIterator[Story]:
    urls = dict.fromkeys(("codebuild", "ssm"), aws.url)
    async with calling(urls, tmp_path_factory.mktemp("scripted")) as story:
        yield story


async def test_an_automation(story: Story, aws: ScriptedAws) -> None:
    operation = "AmazonSSM.StartAutomationExecution"
    aws.answer(operation, {"AutomationExecutionId": "1"})
    await put(
        story,
        "automation",
        arn("ssm", "automation-definition/Restore:3"),
        InputTransformer={
            "InputPathsMap": {"table": "$.detail.table"},
            "InputTemplate": '{"Table": <table>, "Tables": [<table>]}',
        },
    )
    asked = await aws.asked(operation, "ssm")
    assert asked == {
        "DocumentName": "Restore",
        "DocumentVersion": "3",
        "Parameters": {"Table": ["orders"], "Tables": ["orders"]},
    }


async def test_ops_items(story: Story, aws: ScriptedAws) -> None:
    operation, ops_item = "AmazonSSM.CreateOpsItem", arn("ssm", "opsitem")
    aws.answer(operation, {"OpsItemId": "1"})
    event_id = await put(story, "opsitem", ops_item)
    untouched = await aws.asked(operation, "ssm")
    assert (untouched["Title"], untouched["Source"]) == ("order", SOURCE)
    assert is_event(untouched["Description"], event_id)
    template = {
        "InputPathsMap": {"table": "$.detail.table"},
        "InputTemplate": '{"title": "Table <table>", "description": "from <aws.events.rule-name>"}',
    }
    await put(story, "opsitem-template", ops_item, InputTransformer=template)
    templated = await aws.asked(operation, "ssm", count=2)
    assert (templated["Title"], templated["Description"]) == ("Table orders", "from opsitem-template")
    assert templated["Source"] == SOURCE


async def test_a_batch_of_builds(story: Story, aws: ScriptedAws) -> None:
    operation = "CodeBuild_20161006.StartBuildBatch"
    aws.answer(operation, {"buildBatch": {"id": "1"}})
    given = {
        "buildType": "BATCH",
        "sourceVersion": "v1",
        "environmentVariablesOverride": [{"name": "TABLE", "value": "orders"}],
    }
    text = msgspec.json.encode(given).decode()
    await put(story, "build-batch", arn("codebuild", "project/site"), Input=text)
    asked = await aws.asked(operation, "codebuild")
    assert asked.pop("idempotencyToken")
    assert asked == {
        "projectName": "site",
        "sourceVersion": "v1",
        "environmentVariablesOverride": [{"name": "TABLE", "value": "orders"}],
    }
