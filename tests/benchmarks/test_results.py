from __future__ import annotations

import pytest

from benchmarks.report import print_report, write_report
from benchmarks.results import Bounded, Comparison, Growth, Report, Spread, Startup, Timing
from gatecast.data.store import read_json


def timing(*rounds: float) -> Timing:
    return Timing.of_turns([[seconds] * 3 for seconds in rounds])


def report(**rows) -> Report:
    facts = {"processor": "a processor", "cores": 2, "threads": 2}
    return Report(machine=facts, versions={"torch": "2.13.0"}, peak_gflops=(90.0, 100.0), scope="full", **rows)


COMPARISON = Comparison(
    group="training step", name="1/2/3/4", peer="torch", gatecast=timing(1.0, 2.0, 4.0), other=timing(3.0, 4.0, 20.0),
    flop=5e10, floor=2.0, aim=3.0,
)  # fmt: skip
MISSING = COMPARISON.model_copy(update={"other": None, "note": "torch is not installed"})


def test_ratio_is_taken_round_by_round():
    assert COMPARISON.ratio == Spread(median=3.0, low=2.5, high=4.0)


def test_rate_and_share_of_the_best_peak():
    assert COMPARISON.gflops == pytest.approx(25)
    assert report(comparisons=(COMPARISON,)).share_of_peak(COMPARISON) == pytest.approx(0.25)


def test_a_row_without_its_peer_has_a_time_but_no_ratio():
    assert MISSING.ratio is None
    assert MISSING.gflops is not None


def test_exponents_of_powers_are_exact():
    values = (8, 16, 32, 64)
    row = Growth(
        variable="seq_len", fixed="", values=values, seconds=tuple(3.0 * v for v in values),
        memory=tuple(v**2 for v in values), work=tuple(v**1.5 for v in values),
    )  # fmt: skip
    assert row.exponents == pytest.approx({"time": 1, "memory": 2, "arithmetic": 1.5})


def test_json_file_gives_the_report_back(tmp_path):
    startup = Startup(name="import gatecast", seconds=Spread(0.1, 0.1, 0.2), limit=1)
    whole = report(comparisons=(COMPARISON, MISSING), startup=(startup,))
    paths = write_report(whole, tmp_path)
    assert [path.name for path in paths] == ["benchmark.json", "benchmark.png"]
    document = read_json(paths[0])
    assert document["comparisons"][0]["share_of_peak"] == pytest.approx(0.25)
    assert Report.model_validate(document) == whole


def test_part_of_the_rows_does_not_replace_a_full_run(tmp_path):
    part = report(startup=()).model_copy(update={"scope": "part"})
    assert [path.name for path in write_report(part, tmp_path)] == ["benchmark-part.json"]


def test_tables_say_which_peer_is_missing_and_what_was_left_out(capsys):
    from rich.console import Console

    print_report(report(comparisons=(MISSING,), left_out=("fleet: out of time",)), Console(width=240))
    printed = capsys.readouterr().out
    assert "torch is not installed" in printed
    assert "fleet: out of time" in printed


def test_what_is_out_of_bounds_is_printed_with_its_bounds(capsys):
    from rich.console import Console

    row = Bounded(name="work", seconds=21.0, seconds_limit=20.0, memory=900_000_000, memory_limit=1_000_000_000)
    print_report(report(bounded=(row,)), Console(width=200))
    printed = capsys.readouterr().out
    assert all(part in printed for part in ("work", "21 s", "20 s", "900 MB", "1,000 MB"))
