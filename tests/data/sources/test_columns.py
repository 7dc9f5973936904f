"""Tables whose columns have other names than ours, and tables in other shapes."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatecast.data.errors import InputError
from gatecast.data.sources.columns import Columns
from gatecast.data.sources.selection import Selection
from gatecast.data.sources.source import CsvSource, ParquetSource, open_source
from tests.data.frames import REPRODUCIBLE, make_bars, make_series

ALL = Selection()
DAYS = pd.date_range("2020-01-01", periods=30)


def table(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"day": DAYS, "sales": np.arange(30) + 0.5, **columns})


def checked(frame: pd.DataFrame, folder: Path, columns: Columns | None = None, **options: object):
    path = folder / "f.csv"
    frame.to_csv(path, index=False, **options)
    return CsvSource(path, columns=columns or Columns()).check()


def test_one_column_of_dates_and_one_of_numbers_are_taken_and_said(tmp_path):
    found = checked(table(), tmp_path)
    assert found.rows["ds"].tolist() == DAYS.tolist()
    assert found.rows["y"].tolist() == table()["sales"].tolist()
    assert set(found.rows["unique_id"]) == {"f"}
    assert [notice.rpartition("f.csv: ")[2] for notice in found.notices] == [
        "the timestamps are those of 'day'.",
        "the values are those of 'sales'.",
    ]


def test_columns_are_taken_as_named(tmp_path):
    frame = table(store=["a", "b"] * 15, price=2.5)
    found = checked(frame, tmp_path, Columns(id="store", time="day", target="SALES"))
    assert found.rows.columns.tolist() == ["unique_id", "ds", "y", "price"]
    assert set(found.rows["unique_id"]) == {"a", "b"}
    assert not found.notices


@pytest.mark.parametrize(
    ("frame", "columns", "message"),
    [
        (
            table(price=2.5),
            Columns(),
            "several columns of numbers, sales, price; say which is forecast",
        ),
        (table(sent=DAYS), Columns(), "several columns of dates, day, sent; say which holds the timestamps"),
        (table(), Columns(target="sale"), "has no column 'sale' for --target; did you mean 'sales'"),
        (table(), Columns(id="shop"), "has no column 'shop' for --id-column; choose one of day, sales"),
        (table(y=1.0), Columns(target="sales"), "has a column 'y' next to 'sales'; leave it out with --exclude y"),
        (table(), Columns(exclude=("x",)), "has no column 'x' for --exclude"),
        (make_bars(), Columns(target="sales"), "holds bars, of which range, return or close is forecast"),
        (table(name="a"), Columns(id="name", is_wide=True), "is not a wide table"),
        (
            pd.concat([table(store="a"), table(store="b")]),
            Columns(),
            "several rows for each date, one for each store; .* --id-column store",
        ),
    ],
)
def test_what_cannot_be_told_apart_is_asked_about(tmp_path, frame, columns, message):
    with pytest.raises(InputError, match=message):
        checked(frame, tmp_path, columns)


def test_several_columns_can_name_the_series_together(tmp_path):
    parts = [table(region=region, product=product) for region in ("n", "s") for product in ("p", "q")]
    frame = pd.concat(parts)
    with pytest.raises(InputError, match=r"one for each region,product; .* --id-column region,product"):
        checked(frame, tmp_path)
    rows = checked(frame, tmp_path, Columns(id="region,product")).require("f")
    assert rows.columns.tolist() == ["unique_id", "ds", "y"]
    assert rows["unique_id"].unique().tolist() == ["n/p", "n/q", "s/p", "s/q"]


def test_columns_that_are_left_out_do_not_have_to_be_numbers(tmp_path):
    frame = table(weather="rain", note="")
    rows = checked(frame, tmp_path, Columns(exclude=("weather", "note"))).require("f")
    assert rows.columns.tolist() == ["unique_id", "ds", "y"]


@pytest.mark.parametrize(
    "names",
    [("item_id", "timestamp", "target"), ("unique_id", "ds", "y"), ("series_id", "date", "value")],
    ids=["GluonTS", "Nixtla", "value"],
)
def test_names_of_other_libraries_are_known(tmp_path, names):
    frame = make_series({"a": 5, "b": 4}, covariates=0).set_axis(list(names), axis=1)
    rows = checked(frame, tmp_path).rows
    assert rows["y"].tolist() == frame.iloc[:, 2].tolist()


def test_a_feature_called_value_does_not_make_series_of_bars(tmp_path):
    rows = checked(make_bars().assign(target=1.0), tmp_path).rows
    assert "close" in rows


def test_an_index_that_pandas_wrote_is_left_out(tmp_path):
    frame = make_series({"a": 12}, covariates=1)
    path = tmp_path / "f.csv"
    frame.to_csv(path)
    found = CsvSource(path).check()
    assert found.rows.columns.tolist() == ["unique_id", "ds", "y", "x0"]
    assert "its first column numbers the rows and was left out" in found.notices[0]
    frame.reset_index().to_csv(path, index=False)
    assert CsvSource(path).check().rows.columns.tolist() == ["unique_id", "ds", "y", "x0"]
    # Rows that were sorted or filtered keep their numbers.
    frame.iloc[[0, 3, 4, 9]].to_csv(path)
    assert "x0" in CsvSource(path).check().rows


def test_an_index_of_dates_without_a_name_holds_the_dates(tmp_path):
    path = tmp_path / "f.csv"
    pd.Series(np.arange(30.0) + 0.5, DAYS).to_csv(path)
    found = CsvSource(path).check()
    assert found.rows["ds"].tolist() == DAYS.tolist()


def test_a_wide_table_is_a_series_for_each_column(tmp_path):
    frame = pd.DataFrame({"Month": DAYS, "north": np.arange(30.0), "south": np.arange(30.0) + 100.5})
    frame.loc[:4, "south"] = np.nan
    rows = checked(frame, tmp_path, Columns(is_wide=True)).require("f")
    assert rows.groupby("unique_id")["y"].size().to_dict() == {"north": 30, "south": 25}
    assert rows[rows["unique_id"] == "south"]["ds"].min() == DAYS[5]


def test_a_hole_in_a_wide_table_is_a_missing_value(tmp_path):
    frame = pd.DataFrame({"ds": DAYS, "north": np.arange(30.0)})
    frame.loc[7, "north"] = np.nan
    found = checked(frame, tmp_path, Columns(is_wide=True))
    assert found.problems.empty
    assert found.rows["ds"][found.rows["y"].isna()].tolist() == [DAYS[7]]


@pytest.mark.parametrize("by_ticker", [False, True])
def test_the_three_header_lines_of_yfinance_are_read(tmp_path, by_ticker):
    bars = make_bars(("ABC", "XYZ"), rows=6)
    wide = bars.rename(columns=str.title).set_index(["Ds", "Unique_Id"]).unstack()  # noqa: PD010
    wide.columns.names = ["Price", "Ticker"]
    wide.index.name = "Date"
    wide.loc[wide.index[:2], (slice(None), "XYZ")] = np.nan  # listed later
    if by_ticker:
        wide = wide.swaplevel(axis=1).sort_index(axis=1)
    path = tmp_path / "f.csv"
    wide.to_csv(path)
    rows = CsvSource(path).check().require("f")
    expected = bars.drop(index=[6, 7]).reset_index(drop=True)
    pd.testing.assert_frame_equal(rows[expected.columns], expected, check_dtype=False)


@pytest.mark.parametrize("by_ticker", [False, True])
def test_a_frame_of_yfinance_in_a_parquet_file_is_read(tmp_path, by_ticker):
    bars = make_bars(("ABC", "X.Y"), rows=6)
    wide = bars.rename(columns=str.title).set_index(["Ds", "Unique_Id"]).unstack().rename_axis(index="Date")  # noqa: PD010
    if by_ticker:
        wide = wide.swaplevel(axis=1).sort_index(axis=1)
    wide.to_parquet(tmp_path / "f.parquet")
    rows = ParquetSource(tmp_path / "f.parquet").read(ALL)
    pd.testing.assert_frame_equal(rows[bars.columns], bars, check_dtype=False)


DIALECTS = st.fixed_dictionaries(
    {
        "form": st.sampled_from(["csv", "parquet", "folders of csv", "folders of parquet"]),
        "style": st.sampled_from([(",", "."), (";", ","), (";", "."), ("\t", "."), ("|", ",")]),
        "dates": st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "%d %b %Y", "%m/%d/%Y"]),
        "suffix": st.sampled_from([".csv", ".csv.gz", ".CSV"]),
    }
)


@REPRODUCIBLE
@given(
    lengths=st.dictionaries(st.text("abc d,;='é", min_size=1, max_size=5).map(str.strip).filter(bool),
                            st.integers(40, 60), min_size=1, max_size=3),
    cents=st.integers(-(10**6), 10**6),
    dialect=DIALECTS,
)  # fmt: skip
def test_a_frame_comes_back_in_whatever_form_it_is_written(tmp_path_factory, lengths, cents, dialect):
    frame = make_series(lengths, covariates=1).assign(y=lambda rows: (cents + 7 * np.arange(len(rows))) / 100)
    frame = frame.sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
    folder = tmp_path_factory.mktemp("written")
    delimiter, decimal = dialect["style"]
    options = {"index": False, "sep": delimiter, "decimal": decimal, "date_format": dialect["dates"]}
    if dialect["form"] == "csv":
        frame.to_csv(folder / f"table{dialect['suffix']}", **options)
    elif dialect["form"] == "folders of csv":
        for name, rows in frame.groupby("unique_id"):
            part = folder / f"unique_id={quote(str(name), safe='')}"
            part.mkdir()
            rows.drop(columns="unique_id").to_csv(part / f"0{dialect['suffix']}", **options)
    elif dialect["form"] == "parquet":
        frame.to_parquet(folder / "table.parquet", index=False)
    else:
        frame.to_parquet(folder, partition_cols=["unique_id"], index=False)
    source = CsvSource if "csv" in dialect["form"] else ParquetSource
    read = source(folder).check().require("the folder")
    pd.testing.assert_frame_equal(read, frame, check_dtype=False, check_exact=True)


@pytest.mark.parametrize("source", [CsvSource, ParquetSource])
def test_folders_that_name_a_key_are_a_column(tmp_path, source):
    frame = make_series({"a b": 5, "c/d": 4}, covariates=0)
    if source is ParquetSource:
        frame.to_parquet(tmp_path, partition_cols=["unique_id"])
    else:
        for name, folder in (("a b", "unique_id=a b"), ("c/d", "unique_id=c%2Fd")):
            (tmp_path / folder).mkdir()
            part = frame[frame["unique_id"] == name]
            part.drop(columns="unique_id").to_csv(tmp_path / folder / "0.csv", index=False)
    rows = source(tmp_path).read(ALL)
    pd.testing.assert_frame_equal(rows[frame.columns], frame, check_dtype=False)


def test_files_of_one_name_are_called_after_their_folders(tmp_path):
    for folder, name in (("north", "sales"), ("south", "sales"), ("deep/east", "sales")):
        path = tmp_path / folder / f"{name}.csv"
        path.parent.mkdir(parents=True)
        table().to_csv(path, index=False)
    assert set(CsvSource(tmp_path).read(ALL)["unique_id"]) == {"north", "south", "deep-east"}
    table().to_csv(tmp_path / "north" / "returns.csv", index=False)
    names = set(CsvSource(tmp_path).read(ALL)["unique_id"])
    assert names == {"north-sales", "north-returns", "south-sales", "deep-east-sales"}


@pytest.mark.parametrize("name", ["A.CSV", "a.csv.gz", "a.tsv", "a.txt"])
def test_files_of_other_endings_in_a_folder_are_read(tmp_path, name):
    table().to_csv(tmp_path / name, index=False, sep="\t" if name.endswith(".tsv") else ",")
    found = CsvSource(tmp_path).read(ALL)
    assert set(found["unique_id"]) == {"A" if name == "A.CSV" else "a"}


@pytest.mark.parametrize(
    "before", ["sep=;\n", "# made by hand\n# twice\n\n", "Sales of 2020\nAll shops\n\n", "\n\n"], ids=repr
)
def test_what_comes_before_the_header_is_passed_over(tmp_path, before):
    path = tmp_path / "f.csv"
    path.write_text(before + table().to_csv(index=False, sep=";", lineterminator="\n"))
    assert CsvSource(path).read(ALL)["y"].tolist() == table()["sales"].tolist()


def test_a_file_whose_header_is_missing_is_not_taken_for_prose(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("sales\n" + "".join(f"2020-01-0{day},{day}\n" for day in range(1, 8)))
    with pytest.raises(InputError):
        CsvSource(path).read(ALL)


def test_the_sample_has_columns_of_its_own():
    with pytest.raises(InputError, match="sample's columns are known"):
        open_source("sample", columns=Columns(id="sales"))


def test_a_workbook_is_read(tmp_path):
    frame = table(store=["a", "b"] * 15)
    frame.to_excel(tmp_path / "f.xlsx", index=False)
    found = CsvSource(tmp_path, columns=Columns(id="store")).check()
    assert found.rows["ds"].tolist() == checked(frame, tmp_path, Columns(id="store")).rows["ds"].tolist()
    (tmp_path / "g.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"g\.xlsx is not an Excel workbook that can be read"):
        CsvSource(tmp_path / "g.xlsx").check()


def three_times(**columns: object) -> pd.DataFrame:
    return pd.concat([table()] * 3, ignore_index=True).assign(**columns)


STORES = [1] * 30 + [2] * 30 + [3] * 30


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (three_times(store=STORES), "one for each store; .*: --id-column store"),
        (three_times(store=["a"] * 30 + ["7"] * 30 + ["12"] * 30), "one for each store; .*: --id-column store"),
        (three_times(store=[1] * 60 + [2] * 30, item=[5] * 30 + [6] * 30 + [5] * 30), "--id-column store,item"),
        (three_times(clock=["08:00"] * 30 + ["12:00"] * 30 + ["16:30:00"] * 30), "--time-column day,clock"),
    ],
)
def test_what_tells_rows_of_a_date_apart_is_asked_about(tmp_path, frame, message):
    with pytest.raises(InputError, match=message):
        checked(frame, tmp_path)


def test_the_date_of_two_rows_does_not_make_a_covariate_a_name(tmp_path):
    frame = table(price=range(30))
    found = checked(pd.concat([frame, frame.tail(1).assign(price=7)]), tmp_path, Columns(target="sales"))
    assert found.problems["rule"].tolist() == ["twice"]


def test_a_cell_of_text_does_not_make_another_column_the_target(tmp_path):
    frame = table(holiday=[0, 1] * 15).astype({"sales": object})
    frame.loc[3, "sales"] = "?"
    with pytest.raises(InputError, match="several columns of numbers, sales, holiday; say which is forecast"):
        checked(frame, tmp_path)
    found = checked(frame.drop(columns="holiday"), tmp_path)
    assert found.problems[["row", "column", "value"]].to_numpy().tolist() == [[4, "y", "'?'"]]


def test_timestamps_are_put_together_from_several_columns(tmp_path):
    hours = pd.date_range("2020-01-31 20:00", periods=30, freq="h")
    months = pd.date_range("2005-01-01", periods=30, freq="MS")
    written = [
        (hours, {"Date": hours.strftime("%d/%m/%Y"), "Time": hours.strftime("%H:%M:%S")}),
        (hours, {"Date": hours.strftime("%Y-%m-%d"), "Time": hours.strftime("%H:%M")}),
        (hours, {"year": hours.year, "month": hours.month, "day": hours.day, "hour": hours.hour}),
        (DAYS, {"year": DAYS.year, "month": DAYS.month, "day": DAYS.day}),
        (months, {"Year": months.year, "Month": months.strftime("%b")}),
        (months, {"Year": months.year, "Month": months.month}),
    ]
    for expected, parts in written:
        frame = pd.DataFrame({**parts, "sales": np.arange(30.0)})
        found = checked(frame, tmp_path, Columns(time=",".join(parts)))
        assert found.rows["ds"].tolist() == expected.tolist(), parts
        if "Date" not in parts:
            with pytest.raises(InputError, match=f"parts of dates in .*: --time-column {','.join(parts)}"):
                checked(frame, tmp_path)


@pytest.mark.parametrize("lines", [("2020-01-01,100.5", "2020-01-02,101.5"), ("2005;01;101.79", "2005;02;102.4")])
def test_a_first_line_that_is_a_row_is_not_lost(tmp_path, lines):
    path = tmp_path / "f.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=f"has no header line, since its first line is a row, {lines[0][:4]}"):
        CsvSource(path).check()


def test_series_may_be_called_by_numbers(tmp_path):
    frame = pd.DataFrame({"0": DAYS, "1": np.arange(30.0), "2": np.arange(30.0)})
    found = checked(frame, tmp_path, Columns(time="0", is_wide=True))
    assert found.rows["unique_id"].unique().tolist() == ["1", "2"]


def test_what_has_no_dates_asks_for_them(tmp_path):
    with pytest.raises(InputError, match="none holds dates in a usual form; name the one that does with --time-column"):
        checked(pd.DataFrame({"country": ["Chad"] * 3, "1960": [1.0, 2.0, 3.0]}), tmp_path)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y%m%d", "%d.%m.%Y"])
def test_a_wide_table_with_a_column_for_each_date_is_a_series_for_each_row(tmp_path, form):
    values = np.arange(60.0).reshape(2, 30)
    values[1, :4] = np.nan
    frame = pd.DataFrame(values, columns=DAYS.strftime(form))
    frame.insert(0, "page", ["south", "north"])
    frame.insert(1, "lat", [1.5, 2.5])
    with pytest.raises(InputError, match=r"called by dates, .*; if each row is a series, say so: --wide"):
        checked(frame, tmp_path)
    found = checked(frame, tmp_path, Columns(is_wide=True))
    rows = found.rows
    assert rows.loc[rows["unique_id"] == "south", "y"].tolist() == values[0].tolist()
    assert rows.loc[rows["unique_id"] == "north", "ds"].tolist() == DAYS[4:].tolist()
    assert [notice.split(": ", 1)[1] for notice in found.notices] == [
        "the names of the series are those of 'page'.",
        "left out, since they are not called by dates: lat.",
    ]


def test_years_are_dates_of_columns_and_rows_may_have_names_of_several_parts(tmp_path):
    frame = pd.DataFrame({"country": ["Chad", "Chad"], "sector": ["a", "b"], "1960": [1, 2], "1961": [3, 4], "1962": 5})
    rows = checked(frame, tmp_path, Columns(is_wide=True)).rows
    assert rows["unique_id"].unique().tolist() == ["a", "b"]  # which is enough to tell them apart
    assert rows["ds"].dt.year.tolist() == [1960, 1961, 1962] * 2
    named = checked(frame, tmp_path, Columns(id="country,sector", is_wide=True)).rows
    assert named["unique_id"].unique().tolist() == ["Chad/a", "Chad/b"]
    with pytest.raises(InputError, match="none whose texts name the rows"):
        checked(frame.assign(sector="a"), tmp_path, Columns(is_wide=True))


def test_columns_that_are_called_by_numbers_are_no_dates(tmp_path):
    frame = pd.DataFrame({"shop": ["a", "b"], "1": [1.0, 2.0], "2": [3.0, 4.0], "3": [5.0, 6.0]})
    with pytest.raises(InputError, match="none holds dates in a usual form"):
        checked(frame, tmp_path)
