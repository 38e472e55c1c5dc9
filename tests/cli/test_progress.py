"""How far a long command has come: a bar on a terminal, a line at each tenth elsewhere."""

import io

import pytest

from partnerbus.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_at_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(30, "Counting") as advance:
        for _ in range(7):
            advance()
        advance(20)
        advance(20)
    found = capsys.readouterr()
    assert found.err.splitlines() == ["Counting: 10 %", "Counting: 20 %", "Counting: 90 %", "Counting: 100 %"]
    assert found.out == ""


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with progress(2, "Counting") as advance:
        advance()
        advance()
    assert "Counting" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()
