"""`partnerbus torture`: what it counts, what it says, and that it leaves nothing behind."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import click.testing
import msgspec
import pytest

from partnerbus.cli import torture as module
from partnerbus.cli.torture import TortureView, torture
from partnerbus.store.protocol import Ledger
from partnerbus.testing import crash
from partnerbus.testing.crash_report import CrashReport

WITHOUT_WHAT_TESTS_NEED = "import sys; sys.modules |= dict.fromkeys(['boto3', 'hypothesis', 'pytest']); "


@pytest.mark.fault
@pytest.mark.slow
def test_it_kills_and_counts_and_leaves_nothing(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    (live / "partnerbus.db").write_bytes(b"somebody's")
    command = [sys.executable, "-m", "partnerbus", "torture", "--kills", "2", "--data", str(live), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    view = msgspec.json.decode(done.stdout, type=TortureView)
    assert (view.kills, view.lost, view.faults, view.folder) == (2, 0, [], None)
    assert view.stored >= view.acknowledged > 0
    assert [path.name for path in tmp_path.iterdir()] == ["live"]
    assert [path.name for path in live.iterdir()] == ["partnerbus.db"]


def report_of(arrived: set[int]) -> CrashReport:
    """Three events were acknowledged, none of them for a target that is sick."""
    found = {"/all": Counter(arrived), "/even": Counter({2}), "/refuses": Counter(), "/down": Counter()}
    ledger = Ledger(log="log", accepted=3, matched=3, owed=4, delivered=4)
    return CrashReport(acknowledged={1, 2, 3}, sent=4, ends=5, received=found, ledger=ledger, archived=3)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> click.testing.CliRunner:
    monkeypatch.chdir(tmp_path)
    return click.testing.CliRunner()


def harness(monkeypatch: pytest.MonkeyPatch, report: CrashReport) -> None:
    async def crash_run(*_arguments: object, **_options: object) -> CrashReport:
        return report

    monkeypatch.setattr(crash, "crash_run", crash_run)


def test_what_is_lost_is_said_and_kept_with_status_1(
    runner: click.testing.CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    harness(monkeypatch, report_of({1, 2}))
    done = runner.invoke(torture, ["--data", str(tmp_path / "data")])
    assert done.exit_code == 1
    assert "PROMISES WERE BROKEN" in done.stdout
    assert "/all: acknowledged 3, never arrived" in done.stdout
    (kept,) = tmp_path.iterdir()
    assert f"{kept} was kept" in done.stdout


def test_a_table_and_a_verdict(
    runner: click.testing.CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    harness(monkeypatch, report_of({1, 2, 3}))
    done = runner.invoke(torture, ["--data", str(tmp_path / "data")])
    assert done.exit_code == 0
    assert (
        done.stdout.splitlines()[-1] == "Nothing that was acknowledged is missing, and the ledger balances."
    )
    assert "kills          5" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [TimeoutError(), ExceptionGroup("errors", [TimeoutError()])])
def test_a_server_that_does_not_come_back_is_a_fault(
    runner: click.testing.CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    async def crash_run(*_arguments: object, **_options: object) -> CrashReport:
        raise error

    monkeypatch.setattr(crash, "crash_run", crash_run)
    done = runner.invoke(torture, ["--data", str(tmp_path / "data")])
    assert done.exit_code == 1
    (kept,) = tmp_path.iterdir()
    assert f"{kept} was kept" in done.stderr
    assert "TimeoutError" in done.stderr


def test_one_that_is_interrupted_leaves_nothing(
    runner: click.testing.CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def crash_run(*_arguments: object, **_options: object) -> CrashReport:
        raise KeyboardInterrupt

    monkeypatch.setattr(crash, "crash_run", crash_run)
    assert runner.invoke(torture, ["--data", str(tmp_path / "data")]).exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_many_faults_are_not_all_shown(tmp_path: Path) -> None:
    report = report_of({1, 2, 3})
    report.statuses = [1] * 30
    said = module.in_words(module.view_of(report, 1.0, str(tmp_path)))
    assert said.endswith("  and 10 more")


def test_it_needs_only_what_ships(tmp_path: Path) -> None:
    program = WITHOUT_WHAT_TESTS_NEED + "import partnerbus.cli.torture, partnerbus.testing.crash"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
