from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gatecast.flows.cli import app
from tests.flows.conftest import contents
from tests.flows.test_tagging import write_files

SMALL = "--epochs 4 --hidden-size 8 --word-size 8 --learning-rate 0.02 --batch-size 8".split()  # noqa: SIM905


def gatecast(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["tag", *arguments], input=stdin, env={"COLUMNS": "120"})


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.fixture(scope="module")
def home(server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files and a workspace, after a training; tests must not change it."""
    folder = tmp_path_factory.mktemp("tag")
    paths = write_files(folder)
    done = gatecast(
        "train", str(paths["train"]), "--dev", str(paths["dev"]), "--test", str(paths["test"]),
        "--workspace", str(folder / "workspace"), *SMALL,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    shown = plain(done.output)
    assert "Scores of train-tags on the test sentences" in shown
    assert "person" in shown
    assert "most frequent tag of training" in shown
    assert f"{folder}/workspace/models/train-tags/v0001-" in shown
    assert "tag predict --text --name train-tags" in shown
    return folder


def test_evaluate_prints_scores_by_type(home: Path) -> None:
    done = gatecast("evaluate", str(home / "test.conll"), "--workspace", str(home / "workspace"))
    assert done.exit_code == 0, done.output
    assert re.search(r"person +\d+\.\d +\d+\.\d +\d+\.\d +\d+", plain(done.output))
    assert "tokens have the right tag" in done.output


def test_predict_reads_columns_and_writes_columns(home: Path) -> None:
    workspace = ("--workspace", str(home / "workspace"))
    done = gatecast("predict", *workspace, stdin=(home / "test.conll").read_bytes())
    assert done.exit_code == 0, done.output
    read = gatecast("predict", str(home / "test.conll"), "--output", str(home / "out" / "tags.conll"), *workspace)
    assert read.exit_code == 0, read.output
    assert (home / "out" / "tags.conll").read_text() == done.stdout
    assert str(home / "out" / "tags.conll") in read.stdout
    words = [line.split("\t")[0] for line in (home / "test.conll").read_text().splitlines()]
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == words


def test_predict_reads_text_and_writes_json_lines(home: Path) -> None:
    stdin = "Mira Holt sang in Zürich\r\n\nnobody came\n".encode()
    done = gatecast("predict", "--text", "--format", "json", "--workspace", str(home / "workspace"), stdin=stdin)
    assert done.exit_code == 0, done.output
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["tokens"] == ["Mira", "Holt", "sang", "in", "Zürich"]
    assert len(second["tags"]) == 2


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("predict",), b"", "standard input holds no sentence"),
        (("predict", "--text"), b" \n", "standard input holds no sentence"),
        (("predict",), b"ok\nbad\xff\n", "standard input, line 2: the byte at offset 6 is not UTF-8"),
        (("predict", "--format", "xml"), b"a\n", "--format xml is not allowed"),
        (("predict", "--word-column", "3"), b"a\tO\n", "there is no column 3"),
        (("predict", "missing.conll"), b"", "missing.conll does not exist"),
        (("predict", "--name", "other"), b"a\n", "There is no trained tagger 'other'"),
        (("evaluate", "missing.conll"), b"", "missing.conll does not exist"),
        (("train", "missing.conll"), b"", "missing.conll does not exist"),
        (("train", "missing.conll", "--dropout", "1"), b"", "--dropout 1.0 is not allowed"),
        (("train", "missing.conll", "--scheme", "IOB"), b"", "--scheme IOB is not allowed"),
        (("train", "missing.conll", "--vectors", "none.txt"), b"", "missing.conll does not exist"),
    ],
)
def test_bad_input_is_one_sentence_and_loses_nothing(
    home: Path, arguments: tuple[str, ...], stdin: bytes, message: str
) -> None:
    before = contents(home / "workspace")
    done = gatecast(*arguments, "--workspace", str(home / "workspace"), stdin=stdin)
    assert done.exit_code == 2, done.output
    assert message in plain(done.stderr)
    assert "Traceback" not in done.output
    assert contents(home / "workspace") == before


def test_evaluation_names_file_and_line_of_a_tag_that_is_none(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.conll"
    path.write_text("Ada\tO\n\nsang\tVERB\n")
    done = gatecast("evaluate", str(path), "--workspace", str(home / "workspace"))
    assert done.exit_code == 2
    assert "odd.conll, line 3: 'VERB' is no tag of a chunk" in plain(done.stderr)
