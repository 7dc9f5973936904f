"""``python -m benchmarks.accuracy``, on excerpts."""

from __future__ import annotations

import pytest

from benchmarks.accuracy import __main__, peers
from benchmarks.accuracy.datasets import load_tasks
from benchmarks.accuracy.gatecast import chosen_settings
from benchmarks.accuracy.rows import read_table
from benchmarks.accuracy.systems import EVERYWHERE, systems_for


@pytest.fixture
def run(folder, tmp_path, monkeypatch):
    """Return a function that runs the command, and gives its exit status."""
    monkeypatch.setattr(__main__, "set_threads", lambda *_: None)  # of the whole process

    def run(*arguments: str) -> int:
        given = ["accuracy", *arguments, "--data", str(folder), "--output", str(tmp_path), "--threads", "1"]
        monkeypatch.setattr("sys.argv", given)
        return __main__.main()

    return run


def test_rows_are_kept_and_printed(run, tmp_path, capsys):
    assert run("tourism", "bike-24", "--systems", "seasonal*", "ridge") == 0
    rows = read_table(tmp_path / "accuracy.json").rows
    assert {(row.task, row.system) for row in rows} == {
        ("tourism", "seasonal_naive_4"), ("tourism", "ridge"),
        ("bike-24", "seasonal_naive_24"), ("bike-24", "seasonal_naive_168"), ("bike-24", "ridge"),
    }  # fmt: skip
    assert all(row.scores["MASE"] > 0 and row.seed is None for row in rows)
    assert "ridge regression" in capsys.readouterr().out


def test_what_needs_a_seed_has_a_row_for_each(run, tmp_path):
    assert run("bike-24", "--systems", "gatecast", "--seeds", "3", "5", "--epochs", "1") == 0
    rows = read_table(tmp_path / "accuracy.json").rows
    assert [(row.seed, row.bound) for row in rows] == [(3, "at most 1 epoch"), (5, "at most 1 epoch")]
    assert rows[0].scores != rows[1].scores


def test_what_could_not_be_run_is_told_with_its_reason(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(peers, "installed", lambda package: False)
    assert run("tourism", "--systems", "neuralforecast*", "ridge") == 1
    reasons = {row.system: row.not_run for row in read_table(tmp_path / "accuracy.json").rows}
    assert "run make .venv-bench/installed" in reasons["neuralforecast"]
    assert reasons["ridge"] == ""
    assert "not measured: Australian tourism" in capsys.readouterr().out


def test_wrong_names_end_in_one_sentence(run, capsys):
    assert run("weather") == 2
    assert run("tourism", "--systems", "prophet") == 2
    assert capsys.readouterr().err.splitlines()[1:] == [
        "No system matches prophet; leave --systems out to run them all."
    ]


def test_a_part_of_the_series_replaces_no_whole_rows(run, tmp_path):
    assert run("tourism", "--systems", "ridge", "--series", "1") == 0
    assert [path.name for path in tmp_path.glob("*.json")] == ["accuracy-part.json"]


def test_tasks_are_listed(run, capsys):
    assert run("--list") == 0
    assert "etth1: etth1-24, etth1-48, etth1-168" in capsys.readouterr().out.splitlines()


def test_each_task_has_the_systems_that_make_sense_for_it(folder):
    names = {task.name: {system.name for system in systems_for(task)} for task in load_tasks(folder)}
    assert all(EVERYWHERE.keys() <= of_task for of_task in names.values())
    assert names["m4_hourly"] - EVERYWHERE.keys() == {"seasonal_naive_24", "naive2"}
    assert names["sp500-range"] - EVERYWHERE.keys() == {"naive", "har", "ewma"}


def test_statistical_models_are_not_run_from_thousands_of_origins(run, tmp_path):
    assert run("etth1-24", "--systems", "auto_ets") == 1
    (row,) = read_table(tmp_path / "accuracy.json").rows
    assert row.not_run == "AutoETS would take hours from 5,714 origins."


def test_the_peer_has_the_sizes_that_the_default_has_on_the_task(folder):
    for task in load_tasks(folder, ["bike-24", "tourism"]):
        ours = chosen_settings(task)
        sizes = peers.gatecast_sizes(task)
        assert (sizes["input_size"], sizes["encoder_hidden_size"]) == (ours.window, ours.hidden_size)
        assert sizes["learning_rate"] == ours.learning_rate
