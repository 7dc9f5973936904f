from __future__ import annotations

import re
from datetime import date

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.data.sources.source import CsvSource, ParquetSource, SampleSource, Selection, frame_kind, open_source
from gatecast.data.store import content_hash, write_parquet
from tests.data.frames import make_bars, make_series

HEADER = "Date,Open,High,Low,Close,Adj Close,Volume"
ROWS = (
    "2020-01-01,10,12,9,11,11,100",
    "2020-01-02,11,13,10,12,12,0",
    "2020-01-03,12,14,11,13,13,300",
)
ALL = Selection()


@pytest.fixture
def write_csv(tmp_path):
    """Write lines to prices.csv and return its path."""

    def write(*lines: str, encoding: str = "utf-8"):
        path = tmp_path / "prices.csv"
        path.write_text("\n".join(lines) + "\n", encoding=encoding)
        return path

    return write


def test_bars_in_yahoo_s_form_are_read(write_csv):
    bars = CsvSource(write_csv(HEADER, *ROWS)).read(ALL)
    assert frame_kind(bars) == "bars"
    assert bars["unique_id"].tolist() == ["prices"] * 3
    assert bars["ds"].tolist() == list(pd.date_range("2020-01-01", periods=3))
    assert bars["close"].tolist() == [11, 12, 13]
    assert bars["volume"].tolist() == [100, 0, 300]


@pytest.mark.parametrize(
    "header",
    [
        "Symbol,DATE,open,high,low,close,adj_close,volume",
        "Ticker,Datetime,Open,High,Low,Close,AdjClose,Volume",
        "unique_id,ds,Open,High,Low,Close,Adjusted Close,Volume",
        "symbol , timestamp,OPEN,HIGH,LOW,CLOSE,ADJ CLOSE,VOLUME",
    ],
)
def test_usual_spellings_mean_the_same(write_csv, header):
    bars = CsvSource(write_csv(header, *(f"TRUE,{row}" for row in ROWS))).read(ALL)
    assert bars["unique_id"].tolist() == ["TRUE"] * 3
    assert list(bars.columns) == ["unique_id", "ds", "open", "high", "low", "close", "volume", "adj_close"]


@pytest.mark.parametrize("symbol", ["NA", "nan", "007", "NULL", "^GSPC"])
def test_symbols_are_text_whatever_they_look_like(write_csv, symbol):
    bars = CsvSource(write_csv("Symbol," + HEADER, *(f"{symbol},{row}" for row in ROWS))).read(Selection((symbol,)))
    assert set(bars["unique_id"]) == {symbol}


def test_a_byte_order_mark_does_no_harm(write_csv):
    assert len(CsvSource(write_csv(HEADER, *ROWS, encoding="utf-8-sig")).read(ALL)) == 3


def test_a_series_keeps_its_covariates(write_csv):
    frame = CsvSource(write_csv("ds,y,Load,unique_id", "2020-01-01,1.5,7,a", "2020-01-02,2.5,8,a")).read(ALL)
    assert frame_kind(frame) == "series"
    assert frame[["y", "Load"]].to_numpy().tolist() == [[1.5, 7.0], [2.5, 8.0]]


def test_numbers_are_read_to_the_precision_of_float64(write_csv):
    values = np.random.default_rng(0).lognormal(size=200)
    lines = [
        f"{day:%Y-%m-%d},{value!r}"
        for day, value in zip(pd.date_range("2020", periods=200), values.tolist(), strict=True)
    ]
    np.testing.assert_allclose(CsvSource(write_csv("ds,y", *lines)).read(ALL)["y"], values, rtol=1e-15)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is empty; give a header line and rows"),
        ([HEADER], "has no rows; give at least one"),
        ([HEADER.replace("Close", "Last", 1), *ROWS], "has no column 'close', only 'ds', 'open'"),
        ([HEADER.replace(",", ":")], "has no column 'ds', only 'Date:Open:Hi"),
        (
            [HEADER, ROWS[0], ROWS[1].replace("12", "n/a")],
            "row 2 (prices, 2020-01-02): close is 'n/a', which is not a finite",
        ),
        ([HEADER, ROWS[0].replace("12", "")], "row 1 (prices, 2020-01-01): high is '', which is not a finite number"),
        (
            [HEADER, ROWS[0].replace("9", "nan")],
            "row 1 (prices, 2020-01-01): low is 'nan', which is not a finite number",
        ),
        (
            [HEADER, ROWS[0].replace(",10,", ",inf,")],
            "row 1 (prices, 2020-01-01): open is inf, which is not a finite number",
        ),
        ([HEADER, ROWS[0], ROWS[0]], "row 2 (prices): ds is 2020-01-01, the date of an earlier row as well; keep one"),
        (
            [HEADER, ROWS[1], ROWS[0]],
            "row 2 (prices): ds is 2020-01-01, earlier than the row before it in its series; sort",
        ),
        (
            [HEADER, ROWS[0].replace("2020-01-01", "1/32/2020")],
            "row 1 (prices): ds is '1/32/2020', which is not a date; write",
        ),
        ([HEADER, ROWS[0].replace(",9,", ",-9,")], "row 1 (prices, 2020-01-01): low is -9.0, but a price is above 0"),
        ([HEADER, ROWS[0] + ",1"], "is not a table with the same number of fields in each line"),
        ([HEADER, ROWS[0], ROWS[1] + ",1"], "is not a table with the same number of fields in each line"),
        ([HEADER, ROWS[0], ROWS[1][:15]], "row 2 (prices, 2020-01-02): low is nan, which is not a finite number"),
        ([HEADER, '"' + ROWS[0]], "is not a table with the same number of fields in each line"),
        ([HEADER + ",date", ROWS[0] + ",2020-01-01"], "has two columns for 'ds'; leave one out"),
        (
            ["ds,y,place", "2020-01-01,1,Ulm"],
            "row 1 (prices, 2020-01-01): place is 'Ulm', which is not a finite number",
        ),
    ],
)
def test_bad_csv_is_told_in_one_sentence_that_names_the_place(write_csv, lines, message):
    path = write_csv(*lines)
    if not lines:
        path.write_bytes(b"")
    with pytest.raises(InputError, match=re.escape(message)) as error:
        CsvSource(path).read(ALL)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_what_is_no_text_is_refused(tmp_path):
    for seed in range(20):
        path = tmp_path / "prices.csv"
        path.write_bytes(np.random.default_rng(seed).bytes(500))
        with pytest.raises(InputError, match=r"prices\.csv"):
            CsvSource(path).read(ALL)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_missing_file_and_a_directory_are_refused(kind, tmp_path):
    with pytest.raises(InputError, match="nothing does not exist; check the path"):
        open_source(kind, tmp_path / "nothing").read(ALL)
    with pytest.raises(InputError, match=r"holds no file that ends in \."):
        open_source(kind, tmp_path).read(ALL)


@pytest.mark.parametrize("frame", [make_bars(("A", "B")), make_series({"a": 4, "b": 3})])
def test_parquet_round_trip_keeps_every_bit(frame, tmp_path):
    path = write_parquet(frame.astype({"ds": "datetime64[ns]"}), tmp_path / "f.parquet")
    assert content_hash(ParquetSource(path).read(ALL)) == content_hash(frame.astype({"ds": "datetime64[ns]"}))


def test_parquet_of_a_pandas_index_is_read(tmp_path):
    bars = make_bars(("A",))
    bars.rename(columns={"ds": "Date"}).set_index("Date").to_parquet(tmp_path / "named.parquet")
    bars[::1].iloc[5:].to_parquet(tmp_path / "nameless.parquet")
    assert ParquetSource(tmp_path / "named.parquet").read(ALL)["close"].tolist() == bars["close"].tolist()
    assert ParquetSource(tmp_path / "nameless.parquet").read(ALL)["close"].tolist() == bars["close"][5:].tolist()


def test_a_nameless_index_is_no_covariate(tmp_path):
    make_series({"a": 5}).iloc[[0, 2, 4]].to_parquet(tmp_path / "f.parquet")
    assert list(ParquetSource(tmp_path / "f.parquet").read(ALL).columns) == ["unique_id", "ds", "y", "x0"]


def test_an_index_of_dates_without_a_name_holds_the_dates(tmp_path):
    days = pd.date_range("2020-01-01", periods=5)
    pd.DataFrame({"y": range(5)}, index=days).to_parquet(tmp_path / "f.parquet")
    assert ParquetSource(tmp_path / "f.parquet").check().rows["ds"].tolist() == days.tolist()


def test_time_zones_survive_parquet(tmp_path):
    bars = make_bars().assign(ds=lambda frame: frame["ds"].dt.tz_localize("America/New_York"))
    read = ParquetSource(write_parquet(bars, tmp_path / "f.parquet")).read(Selection(start=date(2020, 1, 3)))
    assert read["ds"][0] == pd.Timestamp("2020-01-03", tz="America/New_York")


def test_parquet_that_is_none_is_refused(tmp_path):
    (tmp_path / "f.parquet").write_text("ds,y\n2020-01-01,1\n")
    with pytest.raises(InputError, match=r"f\.parquet cannot be read as Parquet"):
        ParquetSource(tmp_path / "f.parquet").read(ALL)


def test_a_selection_takes_symbols_and_both_its_days():
    bars = SampleSource().read(Selection(("sp500",), date(2014, 1, 2), date(2014, 1, 6)))
    assert bars["unique_id"].tolist() == ["sp500"] * 3
    assert bars["ds"].tolist() == [pd.Timestamp(2014, 1, day) for day in (2, 3, 6)]
    assert bars.index.tolist() == [0, 1, 2]


def test_the_last_day_counts_whole(tmp_path):
    bars = make_bars(rows=48, start="2020-01-01", freq="h")
    path = write_parquet(bars, tmp_path / "f.parquet")
    assert len(ParquetSource(path).read(Selection(end=date(2020, 1, 1)))) == 24


def test_an_interval_merges_bars():
    weeks = SampleSource().read(Selection(("nasdaq",), interval="1wk"))
    assert weeks["ds"].dt.day_name().unique().tolist() == ["Sunday"]


def test_an_interval_of_a_series_is_refused(tmp_path):
    path = write_parquet(make_series({"a": 3}), tmp_path / "f.parquet")
    with pytest.raises(InputError, match="an interval is for bars"):
        ParquetSource(path).read(Selection(interval="1d"))


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"symbols": ()}, "list of symbols is empty"),
        ({"symbols": ("A", " ")}, "holds an empty name"),
        ({"start": date(2020, 1, 2), "end": date(2020, 1, 1)}, "start 2020-01-02 comes after the end 2020-01-01"),
        ({"interval": "2d"}, "Unknown interval '2d'; choose one of 1m, .*1h, 1d, 1wk, 1mo"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(selection, message):
    with pytest.raises(InputError, match=message):
        Selection(**selection)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(("sp500", "dax")), "the sample has no symbol 'dax'; choose from nasdaq, sp500"),
        (
            Selection(start=date(2030, 1, 1)),
            "no row in the period asked for; choose one between 1999-01-04 and 2018-12-31",
        ),
    ],
)
def test_a_selection_without_rows_is_refused(selection, message):
    with pytest.raises(InputError, match=message):
        SampleSource().read(selection)


def test_of_many_known_symbols_ten_are_listed(tmp_path):
    path = write_parquet(make_series({f"s{number:02}": 2 for number in range(12)}), tmp_path / "f.parquet")
    with pytest.raises(InputError, match=r"choose from s00, .*, s09, \.\.\.\.$"):
        ParquetSource(path).read(Selection(("x",)))


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("excel", None, "Unknown source 'excel'; choose one of sample, csv, parquet"),
        ("csv", None, "needs the path of a file"),
        ("parquet", None, "needs the path of a file"),
        ("sample", "x.csv", "'sample' takes no path, but got x.csv"),
    ],
)
def test_a_source_that_cannot_be_opened_is_refused(name, path, message):
    with pytest.raises(InputError, match=message):
        open_source(name, path)


@pytest.mark.parametrize("name", ["sample", "csv", "parquet"])
def test_a_source_knows_its_name(name):
    assert open_source(name, None if name == "sample" else "f").name == name
