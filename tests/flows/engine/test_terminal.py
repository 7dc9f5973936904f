from __future__ import annotations

import errno
from pathlib import Path

import pytest

from gatecast.flows.engine.terminal import (
    RUN_FAILED,
    explain,
    figure,
    literal,
    print_error,
    print_scores,
    print_step,
    print_table,
    say,
    warn,
)

NAME = "[red]a[/red] :x: [/] \\[b] two\nlines\x1b[2J\u2028end\\"
SHOWN = "[red]a[/red] :x: [/] \\[b] two\\nlines\\x1b[2J\\u2028end\\"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_text_from_elsewhere_is_no_markup_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(NAME)
    assert capsys.readouterr().out == f"{SHOWN}\n"
    print_step("train", 1.0, True, NAME)
    assert f"  {SHOWN} (unchanged, from cache)\n" in capsys.readouterr().out
    for tell in (warn, print_error):
        tell(NAME)
        assert capsys.readouterr().err.endswith(f": {SHOWN}\n")


def test_tables_show_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"series": NAME}], NAME)
    assert capsys.readouterr().out.count(SHOWN) == 2
    row = {"series": NAME, "forecast": NAME, "RMSE": "1"}
    print_scores([row], NAME)
    assert capsys.readouterr().out.count(SHOWN) == 3


def test_an_error_shows_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    for tell in (warn, print_error):
        tell("https://me:hunter2@host/x?token=hunter3 is away")
        assert capsys.readouterr().err.endswith(": https://me:***@host/x?token=*** is away\n")


def test_what_is_no_text_is_shown_as_text() -> None:
    assert literal(None) == "None"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3000, "3000"),
        (1234.4, "1234"),
        (3, "3.000"),
        (9999.7, "10,000"),
        (0.5, "0.5000"),
        (-1234.0, "-1234"),
        (None, "–"),
    ],
)
def test_a_figure_ends_with_no_bare_dot(value: float | None, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOSPC, errno.ENOLCK])
def test_an_error_of_the_disk_is_a_sentence_about_the_file(number: int, tmp_path: Path) -> None:
    path = str(tmp_path / "f.json")
    sentence, status = explain(OSError(number, "it is broken", path))
    assert status == RUN_FAILED
    assert path in sentence
    assert "Error" not in sentence
    assert ";" in sentence
