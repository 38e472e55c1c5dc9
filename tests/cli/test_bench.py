"""`partnerbus bench`: what it measures is there and makes sense; how fast is no matter of tests."""

import subprocess
import sys
from pathlib import Path

import click.testing
import msgspec
import pytest

from partnerbus.cli.bench import bench
from partnerbus.testing import bench as measuring
from partnerbus.testing.bench import STEPS, Figures, Latency, measure
from tests.cli.test_torture import WITHOUT_WHAT_TESTS_NEED

FIGURES = Figures(
    syncs_per_second=4_000.4,
    acknowledged_per_second=3_210,
    acknowledged_events_per_second=21_000,
    delivered_per_second=5_432,
    put_to_webhook=Latency(p50=1.234, p99=5),
    direct_post=Latency(p50=0.5, p99=1),
)


@pytest.mark.slow
async def test_each_figure_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server of its own, whatever the environment says of others."""
    monkeypatch.setenv("PARTNERBUS_STORE", "nats://127.0.0.1:1")
    steps = []
    found = await measure(tmp_path, seconds=0.2, events=50, progress=lambda: steps.append(1))
    assert len(steps) == STEPS
    numbers = [number for number in msgspec.structs.astuple(found) if isinstance(number, float)]
    assert len(numbers) == 4
    assert min(numbers) > 0
    for latency in (found.put_to_webhook, found.direct_post):
        assert 0 < latency.p50 <= latency.p99


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_table_or_json_and_no_folder_is_left(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def measured(folder: Path, **_options: object) -> Figures:
        assert folder.parent == tmp_path
        return FIGURES

    monkeypatch.setattr(measuring, "measure", measured)
    done = click.testing.CliRunner().invoke(bench, ["--data", str(tmp_path / "data"), *options])
    assert done.exit_code == 0, done.output
    assert list(tmp_path.iterdir()) == []
    if options:
        assert msgspec.json.decode(done.stdout, type=Figures) == FIGURES
    else:
        assert "3,210" in done.stdout
        assert "4,000 syncs/s" in done.stdout
        assert "1.23" in done.stdout


def test_it_needs_only_what_ships(tmp_path: Path) -> None:
    program = WITHOUT_WHAT_TESTS_NEED + "import partnerbus.cli.bench, partnerbus.testing.bench"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
