"""ARCHITECTURE.md shows what the code is: its layers, and the states of a delivery."""

import re
import tomllib
from pathlib import Path

from partnerbus.model.delivery import SETTLED, TRANSITIONS, DeliveryState

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "partnerbus"
PAGE = (ROOT / "ARCHITECTURE.md").read_text()


def delivery_diagram() -> str:
    """`TRANSITIONS` as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {DeliveryState.OWED}"]
    lines += [f"    {before} --> {after}: {step}" for (before, step), after in TRANSITIONS.items()]
    lines += [f"    {state} --> [*]" for state in DeliveryState if state in SETTLED]
    return "\n".join(lines) + "\n"


def test_the_diagram_of_a_delivery_is_made_from_its_table() -> None:
    [shown] = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
    assert shown == delivery_diagram()


def test_the_layers_are_those_that_the_linter_keeps() -> None:
    [contract] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    kept = [name.removeprefix("partnerbus.") for layer in contract["layers"] for name in layer.split(" | ")]
    table = PAGE[PAGE.index("## Layers") : PAGE.index("## Seams")]
    shown = [
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    ]
    assert shown == kept
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert set(kept) == packages


def test_the_files_that_the_page_names_are_there() -> None:
    named = re.findall(r"`([a-z_]+/[a-z_0-9/]+(?:\.py|/)?)`", PAGE)
    assert "store/protocol.py" in named
    missing = [name for name in named if not any((PACKAGE / (name + end)).exists() for end in ("", ".py"))]
    assert missing == []


def test_no_file_is_hidden_by_a_folder_of_its_name() -> None:
    """Python reads the package then, and nobody the module."""
    assert [path for path in PACKAGE.rglob("*.py") if path.with_suffix("").is_dir()] == []
