"""What holds for every command: it says what it does, and what it prints can be read by machines, too."""

from collections.abc import Iterator

import click
import pytest

from partnerbus.cli.main import partnerbus

NO_JSON = {"serve"}
"""What prints one line for whoever started it, and a log that is JSON."""

WORDS_AT_LEAST = 3


def walk(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command below, by what is typed."""
    if isinstance(command, click.Group):
        for name, found in command.commands.items():
            yield from walk(found, f"{path} {name}".strip())
            if isinstance(found, click.Group):
                yield f"{path} {name}".strip(), found
    else:
        yield path, command


EVERY = dict(walk(partnerbus))
LEAVES = {path: command for path, command in EVERY.items() if not isinstance(command, click.Group)}


def test_there_are_many() -> None:
    assert len(LEAVES) >= 40


@pytest.mark.parametrize("path", EVERY)
def test_it_says_what_it_does(path: str) -> None:
    command = EVERY[path]
    assert len((command.help or "").split()) >= WORDS_AT_LEAST
    context = click.Context(command, info_name=f"partnerbus {path}")
    assert context.get_help()
    silent = [each.name for each in command.params if isinstance(each, click.Option) and not each.help]
    assert silent == []


@pytest.mark.parametrize("path", sorted(LEAVES.keys() - NO_JSON))
def test_it_prints_json(path: str) -> None:
    assert any("--json" in each.opts for each in LEAVES[path].params)
