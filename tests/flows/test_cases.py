"""Small files of kinds that have gone wrong, each with what is right: what is read, told, trained and forecast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.data.sources.source import CsvSource, ParquetSource
from gatecast.data.store import read_json, read_parquet
from gatecast.flows.commands.data import CheckOptions, settings_of
from gatecast.flows.monitor import monitor
from gatecast.flows.retrain import retrain
from gatecast.flows.settings.workspace import Workspace
from tests.flows.test_cli import gatecast, plain
from tests.flows.typed import parsed

DAYS = pd.date_range("2020-01-01", periods=200)


def weekly(rows: int, level: float = 100.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (level + 10 * np.sin(np.arange(rows) * 2 * np.pi / 7) + rng.normal(size=rows)).round(2)


def series(rows: int = 200, start: str = "2020-01-01", **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"ds": pd.date_range(start, periods=rows), "y": weekly(rows)}).assign(**columns)


def write(folder: Path, frame: pd.DataFrame, name: str = "data.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False)
    return path


def checked(path: Path, *options: str) -> tuple[int, str]:
    """Return the exit status of a check, and what it says on one line."""
    done = gatecast("data", "check", str(path), *options)
    return done.exit_code, " ".join(plain(done.output).split())


def trained(path: Path, *options: str) -> dict[str, Any]:
    """Return the result of a retrain with what a check takes."""
    typed = parsed(CheckOptions, str(path), "--epochs", "1", "--hidden-size", "2", *options)
    return dict(retrain(settings_of(typed)))


def forecast_of(result: dict[str, Any]) -> pd.DataFrame:
    return read_parquet(Path(result["forecast"]["path"]))[0]


def verdict_of(result: dict[str, Any]) -> dict[str, Any]:
    return dict(read_json(Path(result["evaluate"]["evaluation"])))


# ---------------------------------------------------------------- numbers


def test_thousands_that_could_be_decimals_are_asked_about(server: str, workspace: Workspace, tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).integers(600, 4000, 200)
    written = [f"{number:,}".replace(",", ".") for number in numbers]
    path = tmp_path / "data.csv"
    lines = (f"{day:%d.%m.%Y};{cell}" for day, cell in zip(DAYS, written, strict=True))
    path.write_text("\n".join(["ds;y", *lines]))
    unclear = next(cell for cell in written if "." in cell)
    whole = unclear.replace(".", "")
    refusal = f"{unclear} can be read in two ways, as {whole} and as {unclear}; say which mark is the decimal one"
    code, said = checked(path)
    assert code == 2
    assert refusal in said
    with pytest.raises(InputError, match="can be read in two ways"):
        trained(path)
    rows = CsvSource(path, settings_of(parsed(CheckOptions, str(path), "--decimal=,")).data.csv_format).check().rows
    assert rows["y"].tolist() == numbers.tolist()
    assert checked(path, "--decimal=,")[0] == 0


def test_days_in_pence_are_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    close = 600 * np.exp(np.cumsum(rng.normal(0, 0.01, 200)))
    close[[50, 80, 120, 160]] /= 100
    days = pd.bdate_range("2023-01-03", periods=200)
    prices = {"Open": close, "High": close * 1.01, "Low": close * 0.99, "Close": close, "Volume": 1000}
    code, said = checked(write(tmp_path, pd.DataFrame({"Date": days, **prices})))
    assert code == 0
    assert said.count("smaller than the rows around it; see whether it is in another unit") == 4
    assert all(f"{days[row]:%Y-%m-%d}: close is" in said for row in (50, 80, 120, 160))


def test_a_series_that_is_far_larger_than_the_others_is_told_and_does_not_decide(
    server: str, workspace: Workspace, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    parts = [
        series(150, unique_id=name, y=factor * (10 + 0.1 * np.cumsum(rng.normal(size=150))))
        for name, factor in (*((f"small{number}", 1.0) for number in range(9)), ("big", 1e6))
    ]
    path = write(tmp_path, pd.concat(parts))
    code, said = checked(path)
    assert code == 0
    assert "big, 2020-01-01: y is" in said
    assert "the series is about 1,000,000 times larger than the others" in said
    assert "small0, 2020" not in said
    judged = verdict_of(trained(path))["judged"]
    assert (judged["series"], judged["measure"]) == (10, "MASE")
    assert judged["score"] < 10  # errors of big alone are in the hundred thousands


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("form", ["partitions", "folders"])
def test_two_stores_in_two_folders_are_two_series(form: str, tmp_path: Path) -> None:
    frames = {"north": series(100), "south": series(100, "2020-04-10")}
    folder = tmp_path / "shops"
    for name, frame in frames.items():
        if form == "partitions":
            (folder / f"unique_id={name}").mkdir(parents=True)
            frame.to_parquet(folder / f"unique_id={name}" / "0.parquet", index=False)
        else:
            write(folder / name, frame, "sales.csv")
    code, said = checked(folder)
    assert code == 0
    assert "north 100 2020-01-01 2020-04-09" in said
    assert "south 100 2020-04-10 2020-07-18" in said
    source = ParquetSource(folder) if form == "partitions" else CsvSource(folder)
    rows = source.check().rows
    for name, frame in frames.items():
        assert rows.loc[rows["unique_id"] == name, "y"].tolist() == frame["y"].tolist()


def test_an_index_is_left_out_with_a_word(server: str, workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    series().to_csv(path)
    code, said = checked(path)
    assert code == 0
    assert "its first column numbers the rows and was left out" in said
    assert trained(path)["build_sequences"]["summary"].endswith("columns y")


def test_text_in_a_covariate_names_the_column(server: str, workspace: Workspace, tmp_path: Path) -> None:
    path = write(tmp_path, series(weather=["rain", "sun"] * 100, promo=[True, False] * 100))
    code, said = checked(path)
    assert code == 2
    assert "No row has a number in weather; correct the column, or leave it out: --exclude weather." in said
    assert "quarantine" not in said
    with pytest.raises(InputError, match="weather is 'rain'"):
        trained(path)
    result = trained(path, "--exclude", "weather")
    assert result["build_sequences"]["summary"].endswith("columns y, promo")


def test_a_promotion_is_learnt_as_a_column(server: str, workspace: Workspace, tmp_path: Path) -> None:
    promo = (np.random.default_rng(0).random(300) < 0.2).astype(int)
    path = write(tmp_path, series(300, y=100 + 50 * promo + weekly(300, 0.0), promo=promo))
    assert CsvSource(path).check().rows["promo"].tolist() == promo.tolist()
    code, said = checked(path)
    assert code == 0
    assert "Nothing is wrong" in said
    assert trained(path)["build_sequences"]["summary"].endswith("columns y, promo")


def header_of_yahoo(frame: pd.DataFrame) -> str:
    fields = ("Close", "High", "Low", "Open", "Volume")
    lines = [f"Price,{','.join(fields)}", f"Ticker{',ABC' * 5}", f"Date{',' * 5}"]
    rows = (f"{row.Date:%Y-%m-%d},{','.join(str(getattr(row, name)) for name in fields)}" for row in frame.itertuples())
    return "\n".join([*lines, *rows])


def test_what_yfinance_writes_is_bars(tmp_path: Path) -> None:
    days = pd.bdate_range("2023-01-03", periods=200)
    close = weekly(200)
    frame = pd.DataFrame(
        {"Date": days, "Open": close, "High": close + 1, "Low": close - 1, "Close": close, "Volume": 1000}
    )
    (tmp_path / "data.csv").write_text(header_of_yahoo(frame))
    rows = CsvSource(tmp_path / "data.csv").check().rows
    assert rows["unique_id"].unique().tolist() == ["ABC"]
    assert rows["close"].tolist() == close.tolist()
    assert rows["ds"].tolist() == days.tolist()
    assert checked(tmp_path / "data.csv")[0] == 0


def test_a_line_that_names_the_separator_is_no_row(tmp_path: Path) -> None:
    frame = series()
    (tmp_path / "data.csv").write_text("sep=;\n" + frame.to_csv(index=False, sep=";"))
    assert CsvSource(tmp_path / "data.csv").check().rows["y"].tolist() == frame["y"].tolist()
    assert checked(tmp_path / "data.csv")[0] == 0


# ---------------------------------------------------------------- time


def test_days_and_months_in_short_are_told_by_the_whole_column(tmp_path: Path) -> None:
    frame = series()
    written = frame.assign(ds=[f"{day.day}/{day.month}/{day:%y}" for day in frame["ds"]])
    path = write(tmp_path, written)
    assert CsvSource(path).check().rows["ds"].tolist() == frame["ds"].tolist()
    assert checked(path)[0] == 0


@pytest.mark.parametrize("step", [1, 5])
def test_numbered_rows_are_read_if_that_is_said_and_forecasts_go_on_counting(
    step: int, server: str, workspace: Workspace, tmp_path: Path
) -> None:
    path = write(tmp_path, series(ds=step * np.arange(200)))
    code, said = checked(path)
    assert code == 2
    assert "the timestamp 0 is a bare number; if rows are numbered, --date-format steps says so" in said
    with pytest.raises(InputError, match="--date-format steps"):
        trained(path)
    code, said = checked(path, "--date-format", "steps")
    assert code == 0
    last = 199 * step
    assert f"data 200 0 {last}" in said
    assert f"training ends on {139 * step}, validation on {159 * step}." in said
    result = trained(path, "--date-format", "steps", "--horizon", "2", "--attention", "dot")
    assert result["ingest"]["summary"] == f"200 rows of 1 series, 0 to {last}"
    assert forecast_of(result)[["cutoff", "ds"]].to_numpy().tolist() == [[last, last + step], [last, last + 2 * step]]
    assert Path(result["forecast"]["path"]).name == f"step-{last:05}.parquet"
    assert f"step 2, {last + 2 * step}: " in result["forecast"]["sentences"][0]
    assert "expected next value" in result["forecast"]["sentences"][0]
    evaluation = verdict_of(result)
    assert (evaluation["first"], evaluation["last"]) == (str(161 * step), str(last))
    write(tmp_path, series(202, ds=step * np.arange(202)))
    live = read_parquet(Path(monitor()["score_live"]["live"]))[0]
    assert live["y"].tolist() == weekly(202)[200:].tolist()  # both forecasts have met their rows


def test_the_newest_row_first_is_sorted(server: str, workspace: Workspace, tmp_path: Path) -> None:
    path = write(tmp_path, series()[::-1])
    code, said = checked(path)
    assert code == 0
    assert "the newest date, in the first row; the rows were sorted by date" in said
    assert "quarantine" not in said
    assert forecast_of(trained(path))["ds"].tolist() == [pd.Timestamp("2020-07-19")]


def test_nine_days_that_are_missing_are_told_and_masked(server: str, workspace: Workspace, tmp_path: Path) -> None:
    path = write(tmp_path, series(300).drop(index=range(100, 109)))
    code, said = checked(path)
    assert code == 0
    assert "ds is 2020-04-10, the first of 9 days without a row, until 2020-04-18" in said
    result = trained(path)
    assert result["ingest"]["notices"] == ["9 rows of 1 series were missing; they are masked."]


def test_months_that_are_missing_are_told(server: str, workspace: Workspace, tmp_path: Path) -> None:
    months = pd.date_range("2000-01-01", periods=150, freq="MS")
    path = write(tmp_path, pd.DataFrame({"ds": months, "y": weekly(150)}).drop(index=range(50, 53)))
    code, said = checked(path)
    assert code == 0
    assert "the first of" in said
    assert "where rows are monthly" in said
    assert forecast_of(trained(path))["ds"].tolist() == [pd.Timestamp("2012-07-01")]


def test_after_a_session_comes_the_next_one(server: str, workspace: Workspace, tmp_path: Path) -> None:
    days = pd.bdate_range("2019-01-07", "2019-02-15")
    times = [day + pd.Timedelta(hours=9.5) + half * pd.Timedelta(minutes=30) for day in days for half in range(13)]
    path = write(tmp_path, pd.DataFrame({"ds": times, "y": weekly(len(times))}))
    assert "Nothing is wrong" in checked(path)[1]
    ahead = forecast_of(trained(path, "--horizon", "2"))["ds"]
    assert ahead.tolist() == [pd.Timestamp("2019-02-18 09:30"), pd.Timestamp("2019-02-18 10:00")]


# ---------------------------------------------------------------- what is learnt


def test_a_shop_that_opened_late_stops_no_other(server: str, workspace: Workspace, tmp_path: Path) -> None:
    old = [series(400, unique_id=f"shop{number}", y=weekly(400, 100.0 * number, number)) for number in (1, 2)]
    path = write(tmp_path, pd.concat([*old, series(100, "2020-10-27", unique_id="new")]))
    code, said = checked(path)
    assert code == 0
    assert "new 100 2020-10-27 2021-02-03" in said
    result = trained(path)
    assert "of 3 series" in result["ingest"]["summary"]
    ahead = forecast_of(result)
    assert set(ahead["unique_id"]) == {"shop1", "shop2", "new"}
    assert set(ahead["ds"]) == {pd.Timestamp("2021-02-04")}
    tested = read_parquet(Path(result["evaluate"]["predictions"]))[0]
    assert set(tested["unique_id"]) == {"shop1", "shop2", "new"}


def test_there_is_no_praise_for_noise(server: str, workspace: Workspace, tmp_path: Path) -> None:
    path = write(tmp_path, series(600, y=100 + 10 * np.random.default_rng(0).normal(size=600)))
    code, said = checked(path)
    assert code == 0
    assert "No season was found" in said
    evaluation = verdict_of(trained(path))
    assert evaluation["judged"]["outcome"] != "better"
    assert "The model is no better than" in evaluation["verdict"]


def test_a_trend_is_forecast_as_well_as_by_the_best_simple_forecast(
    server: str, workspace: Workspace, tmp_path: Path
) -> None:
    path = write(tmp_path, series(400, y=weekly(400) + 2.0 * np.arange(400)))
    code, said = checked(path)
    assert code == 0
    assert "Season of 7 rows" in said
    judged = verdict_of(trained(path))["judged"]
    assert judged["score"] < 1.05 * judged["best_score"]
    assert judged["score"] < 0.5  # of the naive forecast's error
