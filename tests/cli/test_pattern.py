"""`partnerbus pattern`: the verdict, the explanation, and where pattern and event come from."""

import json
import re
import shlex
from pathlib import Path

import pytest

from partnerbus.api.admin.patterns import LARGEST_BODY, LONGEST_PATTERN
from tests.cli.commands import is_one_sentence, partnerbus

pytestmark = pytest.mark.slow

PATTERN = '{"source":["shop"],"detail":{"state":["closed"]}}'
CLOSED = '{"source":"shop","detail":{"state":"closed"}}'
OPEN = '{"source":"shop","detail":{"state":"open"}}'


async def test_the_verdict_is_the_exit_status():
    done = await partnerbus("pattern", "test", PATTERN, CLOSED)
    assert (done.status, done.out, done.err) == (0, "match\n", "")
    done = await partnerbus("pattern", "test", PATTERN, OPEN)
    assert (done.status, done.out, done.err) == (1, "no match\n", "")


async def test_pattern_and_event_come_from_files_and_standard_input(tmp_path):
    file = tmp_path / "pattern.json"
    file.write_text(PATTERN)
    assert (await partnerbus("pattern", "test", f"@{file}", "-", stdin=CLOSED)).status == 0
    assert (await partnerbus("pattern", "test", "-", OPEN, stdin=PATTERN)).status == 1


async def test_an_event_may_be_only_a_detail():
    detail = ("--detail", "--source", "shop", "--detail-type", "order")
    pattern = PATTERN[:-1] + ',"detail-type":["order"]}'
    assert (await partnerbus("pattern", "test", pattern, '{"state":"closed"}', *detail)).status == 0
    explained = await partnerbus("pattern", "explain", PATTERN, '{"state":"closed"}', "--detail")
    assert 'the event has no field "source"' in explained.out
    forgotten = await partnerbus("pattern", "explain", PATTERN, '{"state":"closed"}')
    assert "the event has state, outside detail" in forgotten.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("{", CLOSED), "Event pattern is not valid. Reason: "),
        ((PATTERN, "[]"), "the event cannot be read"),
        ((PATTERN, "{"), "the event cannot be read"),
        ((PATTERN, "5", "--detail"), "the event cannot be read"),
        ((PATTERN, "@/no/such/file"), "the event cannot be read"),
        (("@/", CLOSED), "the pattern cannot be read"),
        ((PATTERN, "\udcff"), "the event cannot be read"),
        (('{"a":["' + "x" * LONGEST_PATTERN + '"]}', CLOSED), f"longer than {LONGEST_PATTERN}"),
    ],
)
@pytest.mark.parametrize("command", ["test", "explain"])
async def test_what_cannot_be_read_is_status_2(command, arguments, sentence):
    done = await partnerbus("pattern", command, *arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("Error: ")
    assert sentence in done.err
    assert "Traceback" not in done.err


async def test_a_file_that_is_too_large_or_no_text_is_status_2(tmp_path):
    file = tmp_path / "event.json"
    file.write_bytes(b" " * (LARGEST_BODY + 1))
    done = await partnerbus("pattern", "test", PATTERN, f"@{file}")
    assert (done.status, is_one_sentence(done.err)) == (2, True)
    file.write_bytes(b'{"a":"\xff"}')
    done = await partnerbus("pattern", "test", PATTERN, f"@{file}")
    assert (done.status, is_one_sentence(done.err)) == (2, True)


@pytest.mark.parametrize("arguments", [("-", "-"), (PATTERN,), (PATTERN, CLOSED, "--source", "shop")])
async def test_usage_errors_are_status_2(arguments):
    done = await partnerbus("pattern", "test", *arguments)
    assert (done.status, done.out) == (2, "")
    assert "Usage: " in done.err


async def test_the_explanation_is_for_people_or_for_machines():
    done = await partnerbus("pattern", "explain", PATTERN, OPEN)
    assert done.status == 0
    assert done.out == (
        "no match\n"
        "\n"
        "FAILS   detail.state\n"
        '    wants  equals "closed"\n'
        '    sees   "open" at detail.state\n'
        "    why    the value does not fit\n"
        "fits    source\n"
        '    wants  equals "shop"\n'
        '    has    "shop" at source\n'
    )
    done = await partnerbus("pattern", "explain", PATTERN, OPEN, "--json")
    assert done.json["matched"] is False
    (conjunction,) = done.json["conjunctions"]
    assert [clause["outcome"] for clause in conjunction["clauses"]] == ["does-not-fit", "fits"]


async def test_combinations_of_branches_are_told_apart():
    branches = [{"a": [number], "b": [number]} for number in range(8)]
    pattern = json.dumps({"$or": branches})
    done = await partnerbus("pattern", "explain", pattern, '{"a":[9],"b":[3]}')
    assert "combination 4 of 8 of $or branches: 1 field fails\n" in done.out
    assert done.out.endswith("… and 3 more combinations of $or branches, none nearer\n")
    done = await partnerbus("pattern", "explain", pattern, '{"a":[5,6],"b":[9,5]}')
    assert "combination 6 of $or branches:\n" in done.out
    assert "    has    5 at b[1]\n" in done.out


async def test_a_deep_event_is_read_as_by_a_server():
    deep = '{"detail":' + '{"k":' * 998 + "1" + "}" * 998 + "}"
    assert (await partnerbus("pattern", "test", '{"detail":{"x":[{"exists":false}]}}', deep)).status == 0


async def test_the_example_of_the_page_is_what_the_command_prints(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "patterns.md").read_text()
    blocks = re.findall(r"```(?:json|console)\n(.*?)```", page.partition("## Why")[2], re.DOTALL)
    (tmp_path / "pattern.json").write_text(blocks[0])
    (tmp_path / "event.json").write_text(blocks[1])
    command, _, printed = blocks[2].removeprefix("$ partnerbus ").partition("\n")
    done = await partnerbus(*shlex.split(command), cwd=tmp_path)
    assert done.out == printed
