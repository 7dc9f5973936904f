"""The tables, and the files that they are written to."""

from __future__ import annotations

import pytest

from benchmarks.accuracy.readme import MARKERS, main
from benchmarks.accuracy.report import markdown, summary
from benchmarks.accuracy.rows import Table, keep
from tests.benchmarks.accuracy.test_rows import row

TABLE = Table(
    rows=(
        row("gatecast", 0, scores={"MASE": 1.0, "sMAPE": 20.0}, seconds=3, bound="at most 5 epochs"),
        row("gatecast", 1, scores={"MASE": 2.0, "sMAPE": 40.0}, seconds=5, bound="at most 5 epochs"),
        row("ridge", scores={"MASE": 1.25, "sMAPE": 10.0}, seconds=0.002),
        row("auto_ets", not_run="It takes too long."),
        row("ridge", task="etth1-24", task_title="ETTh1", ranked_by="MSE", scores={"MSE": 0.5}),
        row("auto_ets", task="etth1-24", task_title="ETTh1", ranked_by="MSE", scores={"MSE": 0.25, "coverage": 0.8}),
        row("naive", task="etth1-24", task_title="ETTh1", ranked_by="MSE", scores={"MSE": 3.0}),
    )
)


def test_a_task_has_a_line_for_each_system_the_best_first():
    lines = markdown(TABLE).splitlines()
    first = lines.index("| Tourism | MASE | sMAPE | time |")
    assert lines[first + 2 : first + 5] == [
        "| Ridge | 1.250 | 10.00 | 2 ms |",
        "| Gatecast | 1.500 (1.000–2.000) | 30.00 | 4 s |",
        "| Auto_Ets | not run | not run |  |",
    ]
    assert "| *LSTMa*" not in "\n".join(lines[first:])


def test_notes_and_reasons_stand_below_their_task():
    text = markdown(TABLE)
    assert "- Gatecast: at most 5 epochs\n- Auto_Ets: not run: It takes too long." in text


def test_published_figures_stand_next_to_ours_in_italics_with_their_source():
    text = markdown(TABLE)
    assert "| *LSTMa* | 0.650 |  |  |" in text
    assert "Zhou et al. 2021" in text
    assert "M4 competition" not in text  # no row of that task


def test_the_machine_is_told():
    assert "Measured on a processor, 1 thread." in markdown(TABLE)
    assert "Measured on a processor, 1 thread." in summary(TABLE)


def test_the_summary_has_a_column_for_each_task_and_the_best_in_bold():
    lines = summary(TABLE).splitlines()
    assert lines[:4] == [
        "| | ETTh1: MSE | Tourism: MASE |",
        "|---|--:|--:|",
        "| Auto_Ets | **0.250** | not run |",
        "| AutoTheta | not run | not run |",
    ]
    assert "| Ridge | 0.500 | **1.250** |" in lines
    assert "| Gatecast | not run | 1.500* |" in lines
    assert lines[-1].endswith("means of up to 2 seeds. A star marks a training that was cut short.")
    assert "| Naive | 3.000 |  |" in lines  # which makes no sense for the other task


def test_what_nobody_has_run_is_told_too():
    text = markdown(TABLE)
    assert "| neuralforecast LSTM, default | not run |" in text
    assert "- neuralforecast LSTM, default: not run yet" in text


def test_a_seed_that_could_not_be_run_does_not_hide_the_others():
    rows = (row("gatecast", 0), row("gatecast", 1, not_run="It takes too long."))
    assert "| Gatecast | 1.000 |" in markdown(Table(rows=rows))


@pytest.fixture
def files(tmp_path):
    """Options of the command, and the two files that it writes into."""
    readme, page = tmp_path / "README.md", tmp_path / "accuracy.md"
    for path in (readme, page):
        path.write_text(f"before\n{MARKERS.begin}\nold\n{MARKERS.end}\nafter\n", encoding="utf-8")
    results = tmp_path / "accuracy.json"
    return ["--results", str(results), "--readme", str(readme), "--page", str(page)], results, readme, page


def test_the_command_writes_both_files_and_changes_nothing_the_second_time(files, capsys):
    options, results, readme, page = files
    for line in TABLE.rows:
        keep(results, line)
    main(options)
    assert "accuracy of 7 rows" in capsys.readouterr().out
    written = readme.read_text(encoding="utf-8"), page.read_text(encoding="utf-8")
    assert written == tuple(
        f"before\n{MARKERS.begin}\n{table(TABLE)}\n{MARKERS.end}\nafter\n" for table in (summary, markdown)
    )
    main(options)
    assert (readme.read_text(encoding="utf-8"), page.read_text(encoding="utf-8")) == written


def test_no_rows_or_no_markers_change_nothing(files):
    options, results, readme, page = files
    with pytest.raises(SystemExit, match=r"has no rows; run python -m benchmarks"):
        main(options)
    keep(results, TABLE.rows[0])
    page.write_text("no markers", encoding="utf-8")
    before = readme.read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match="accuracy:begin"):
        main(options)
    assert readme.read_text(encoding="utf-8") == before
