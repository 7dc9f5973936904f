"""CSV in the forms that people write, folders, and URLs."""

from __future__ import annotations

import base64
import gzip
import http.server
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import fsspec
import pandas as pd
import pytest

from gatecast.data.errors import InputError, SourceError
from gatecast.data.sources.csv_format import CsvFormat
from gatecast.data.sources.files import read_csv, stem
from gatecast.data.sources.selection import Selection
from gatecast.data.sources.source import CsvSource, ParquetSource
from gatecast.data.store import write_parquet
from tests.data.frames import make_bars, make_series

ALL = Selection()


def write(folder: Path, text: str, name: str = "f.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path, delimiter):
    lines = ["ds,y,x", "2020-01-01,1,2", "2020-01-02,3,4"]
    path = write(tmp_path, "\n".join(lines).replace(",", delimiter))
    assert CsvSource(path).read(ALL)[["y", "x"]].to_numpy().tolist() == [[1, 2], [3, 4]]


def test_a_delimiter_that_is_given_is_not_looked_for(tmp_path):
    path = write(tmp_path, "ds:y\n2020-01-01:1\n2020-01-02:2\n")
    assert CsvSource(path, CsvFormat(delimiter=":")).read(ALL)["y"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("1,5", "2,25"), [1.5, 2.25]),
        (("1.234,5", "-2.234.567,25"), [1234.5, -2234567.25]),
        (("1.5", "2"), [1.5, 2]),
        (("1234", "5"), [1234, 5]),
    ],
)
def test_the_decimal_mark_is_found(tmp_path, cells, expected):
    path = write(tmp_path, f"ds;y\n2020-01-01;{cells[0]}\n2020-01-02;{cells[1]}\n")
    assert CsvSource(path).read(ALL)["y"].tolist() == expected


def test_a_number_that_can_be_read_in_two_ways_is_asked_about(tmp_path):
    path = write(tmp_path, "ds;y\n2020-01-01;1,234\n2020-01-02;5,678\n")
    with pytest.raises(
        InputError,
        match=r"1,234 can be read in two ways, as 1234 and as 1\.234; say which mark is .*: --decimal",
    ):
        CsvSource(path).read(ALL)
    assert CsvSource(path, CsvFormat(decimal=",")).read(ALL)["y"].tolist() == [1.234, 5.678]


@pytest.mark.parametrize(
    "dates",
    [
        ("2020-01-30", "2020-01-31"),
        ("30.01.2020", "31.01.2020"),
        ("20200130", "20200131"),
        ("2020/01/30", "2020/01/31"),
        ("30/01/2020", "31/01/2020"),
        ("01/30/2020", "01/31/2020"),
        ("30 Jan 2020", "31 Jan 2020"),
        ('"Jan 30, 2020"', '"Jan 31, 2020"'),
        ("30.01.2020 00:00", "31.01.2020 00:00"),
    ],
)
def test_the_form_of_the_dates_is_found(tmp_path, dates):
    path = write(tmp_path, f"ds,y\n{dates[0]},1\n{dates[1]},2\n")
    assert CsvSource(path).read(ALL)["ds"].dt.date.tolist() == [date(2020, 1, 30), date(2020, 1, 31)]


def test_times_are_kept(tmp_path):
    path = write(tmp_path, "ds;y\n30.01.2020 14:30;1\n30.01.2020 15:30;2\n")
    assert CsvSource(path).read(ALL)["ds"].dt.hour.tolist() == [14, 15]


def test_a_date_that_can_be_read_in_two_ways_is_asked_about(tmp_path):
    path = write(tmp_path, "ds,y\n01/02/2020,1\n02/02/2020,2\n")
    with pytest.raises(InputError, match=r"date 01/02/2020 can be read as %d/%m/%Y and as %m/%d/%Y; say which with"):
        CsvSource(path).read(ALL)
    given = CsvSource(path, CsvFormat(date_format="%d/%m/%Y")).read(ALL)
    assert given["ds"].dt.month.tolist() == [2, 2]


def test_one_wrong_date_is_named_and_not_taken_for_the_form(tmp_path):
    lines = "".join(f"{day:02d}.01.2020,1\n" for day in range(1, 15))
    path = write(tmp_path, f"ds,y\n{lines}32.01.2020,1\n")
    with pytest.raises(InputError, match=r"row 15 \(f\): ds is '32.01.2020', which is not a date"):
        CsvSource(path).read(ALL)


@pytest.mark.parametrize(
    "options",
    [{"delimiter": ";;"}, {"decimal": "x"}, {"date_format": "day first"}, {"encoding": "base64"}],
    ids=lambda options: next(iter(options)),
)
def test_a_form_that_cannot_be_is_refused(options):
    with pytest.raises(InputError):
        CsvFormat(**options)


def test_a_column_that_occurs_twice_is_named_before_pandas_renames_it(tmp_path):
    path = write(tmp_path, "ds,y,y\n2020-01-01,1,2\n")
    with pytest.raises(InputError, match="has two columns for 'y'; keep one"):
        CsvSource(path).read(ALL)


def test_a_compressed_file_is_read(tmp_path):
    path = tmp_path / "f.csv.gz"
    path.write_bytes(gzip.compress(b"ds;y\n2020-01-01;1,5\n2020-01-02;2,5\n"))
    assert read_csv(path)["y"].tolist() == [1.5, 2.5]


def test_a_folder_is_one_series_a_file_or_one_series_over_several(tmp_path):
    bars = make_bars(("A", "B"), rows=6)
    a, b = (bars[bars["unique_id"] == name].drop(columns="unique_id") for name in ("A", "B"))
    write_parquet(a, tmp_path / "one" / "A.parquet")
    write_parquet(b, tmp_path / "one" / "deeper" / "B.parquet")
    pd.testing.assert_frame_equal(
        ParquetSource(tmp_path / "one").read(ALL)[["unique_id", "close"]], bars[["unique_id", "close"]]
    )
    for part, rows in enumerate((bars.iloc[3:6], bars.iloc[:3], bars.iloc[6:])):
        write_parquet(rows, tmp_path / "other" / f"{part}.parquet")
    assert ParquetSource(tmp_path / "other").read(ALL)["close"].tolist() == bars["close"].tolist()


def test_a_folder_of_csv_files_is_read(tmp_path):
    for name in ("A", "B"):
        write(tmp_path, "ds,y\n2020-01-01,1\n2020-01-02,2\n", f"{name}.csv")
    assert CsvSource(tmp_path).read(ALL)["unique_id"].tolist() == ["A", "A", "B", "B"]


def test_a_folder_with_files_that_do_not_fit_together_is_refused(tmp_path):
    write_parquet(make_bars(), tmp_path / "a.parquet")
    write_parquet(make_series({"s": 3}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet holds series"):
        ParquetSource(tmp_path).read(ALL)


def test_the_same_rows_in_two_files_are_refused(tmp_path):
    for name in ("a", "b"):
        write_parquet(make_bars(), tmp_path / f"{name}.parquet")
    with pytest.raises(InputError, match="the date of an earlier row as well"):
        ParquetSource(tmp_path).read(ALL)


def test_a_wrong_row_names_its_file(tmp_path):
    write_parquet(make_bars(("A",)), tmp_path / "a.parquet")
    write_parquet(make_bars(("B",)).assign(high=1.0), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet: row 1 \(B, 2020-01-01\): high is 1.0"):
        ParquetSource(tmp_path).read(ALL)


def test_urls_of_fsspec_are_read(tmp_path):
    memory = fsspec.filesystem("memory")
    bars = make_bars(("A", "B"), rows=5)
    for name, rows in bars.groupby("unique_id"):
        path = write_parquet(rows, tmp_path / f"{name}.parquet")
        memory.pipe_file(f"/bars/{name}.parquet", path.read_bytes())
    memory.pipe_file("/csv/sales.csv", b"ds;y\n2020-01-01;1,5\n2020-01-02;2,5\n")
    assert ParquetSource("memory://bars/").read(ALL)["close"].tolist() == bars["close"].tolist()
    assert len(ParquetSource("memory://bars/A.parquet").read(ALL)) == 5
    sales = CsvSource("memory://csv/sales.csv").read(ALL)
    assert (sales["unique_id"].tolist(), sales["y"].tolist()) == (["sales", "sales"], [1.5, 2.5])
    with pytest.raises(InputError, match=r"memory://nowhere/x\.parquet does not exist"):
        ParquetSource("memory://nowhere/x.parquet").read(ALL)


@pytest.mark.parametrize(("url", "extra"), [("s3://bucket/x.csv", "s3"), ("gs://bucket/x.csv", "gcs")])
def test_a_missing_package_is_named_with_its_extra(url, extra):
    with pytest.raises(InputError, match=rf"pip install 'gatecast\[{extra}\]'"):
        CsvSource(url).read(ALL)


@contextmanager
def serving(files: dict[str, bytes], login: str, token: str) -> Iterator[str]:
    """Give host and port of a server that asks for a login or, as a parameter, a token."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            wanted = f"Basic {base64.b64encode(login.encode()).decode()}"
            allowed = self.headers["Authorization"] == wanted or query == f"token={token}"
            content = files.get(path) if allowed else None
            self.send_response(200 if content else 404 if allowed else 401)
            self.send_header("content-length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_a_server_that_does_not_answer_is_named(name):
    with pytest.raises(SourceError, match=rf"http://127\.0\.0\.1:9/{name} cannot be re.*try again\.$") as caught:
        (CsvSource if name.endswith("csv") else ParquetSource)(f"http://127.0.0.1:9/{name}").read(ALL)
    assert "\n" not in str(caught.value)


def test_a_url_with_a_secret_is_read_from_the_environment(tmp_path, monkeypatch):
    csv = b"ds;y\n2020-01-01;1,5\n2020-01-02;2,5\n"
    parquet = write_parquet(make_series({"s": 3}), tmp_path / "s.parquet").read_bytes()
    with serving({"/sales.csv": csv, "/sales.parquet": parquet}, "me:hunter2", "hunter.3") as host:
        monkeypatch.setenv("SALES", f"http://me:hunter2@{host}/sales.csv")
        monkeypatch.setenv("TOKEN", "hunter.3")
        for path in ("$SALES", f"http://{host}/sales.csv?token=${{TOKEN}}"):
            sales = CsvSource(path).read(ALL)
            assert (sales["unique_id"].tolist(), sales["y"].tolist()) == (["sales", "sales"], [1.5, 2.5])
        assert len(ParquetSource(f"http://{host}/sales.parquet?token=${{TOKEN}}").read(ALL)) == 3


def test_an_error_of_a_url_shows_no_secret(monkeypatch):
    with serving({"/wrong.csv": b"ds;y\nnever;hunter2\n"}, "me:hunter2", "hunter3") as host:
        for url in (
            f"http://me:hunter2@{host}/none.csv",
            f"http://me:hunter2x@{host}/sales.csv",
            f"http://{host}/sales.csv?token=hunter2",
            "http://me:hunter2@127.0.0.1:1/sales.csv",
            "nosuch://me:hunter2@host/sales.csv",
            "http://me:hunter2@host:port/sales.csv",
            "/nowhere/me:hunter2@host/sales.csv",
            "hunter2",
        ):
            monkeypatch.setenv("SALES", url)
            for source in (CsvSource, ParquetSource):
                with pytest.raises((InputError, SourceError)) as error:
                    source("$SALES").read(ALL)
                assert "hunter2" not in "".join(traceback.format_exception(error.value)), url


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/x.csv?token=a.b", "x"),
        ("https://h/x.y.csv#a.b", "x.y"),
        ("s3://b/x.parquet", "x"),
        ("a/x.csv", "x"),
    ],
)
def test_a_series_is_named_after_the_file_and_not_its_parameters(url, name):
    assert stem(url) == name


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x1c", "\x0b", "\x0c"])
def test_a_line_ends_at_a_line_feed_only(tmp_path, mark):
    lines = ["unique_id;ds;y", *(f"a{mark},b;2020-01-0{day};1,5" for day in range(1, 8))]
    path = tmp_path / "f.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert set(CsvSource(path).read(ALL)["unique_id"]) == {f"a{mark},b"}


def test_reading_files_does_not_import_what_it_does_not_need():
    heavy = ("yfinance", "sqlalchemy", "curl_cffi", "exchange_calendars", "fsspec")
    code = f"import sys, gatecast.data.sources.source; print([name for name in {heavy} if name in sys.modules])"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
def test_a_mark_at_the_beginning_tells_the_encoding(tmp_path, encoding):
    (tmp_path / "f.csv").write_bytes("date\tWert °C\n2020-01-01\t1.5\n2020-01-02\t2.5\n".encode(encoding))
    found = CsvSource(tmp_path / "f.csv").check()
    assert found.rows["y"].tolist() == [1.5, 2.5]
    assert "'Wert °C'" in found.notices[0]


def test_another_encoding_has_to_be_named(tmp_path):
    (tmp_path / "f.csv").write_bytes("date;Wert °C\n2020-01-01;1,5\n".encode("latin-1"))
    with pytest.raises(InputError, match="is not UTF-8 text; name its encoding, as --encoding cp1252"):
        CsvSource(tmp_path / "f.csv").check()
    found = CsvSource(tmp_path / "f.csv", CsvFormat(encoding="latin-1")).check()
    assert "'Wert °C'" in found.notices[0]
    assert found.rows["y"].tolist() == [1.5]


@pytest.mark.parametrize(
    "lines",
    [
        ["date;value;", "2020-01-01;1.5;", "2020-01-02;2.5;"],
        ['"date" , "value"', '"2020-01-01" , "1.5"', '"2020-01-02" , "2.5"'],
        ["date, value", "2020-01-01, 1.5", "2020-01-02, 2.5"],
    ],
    ids=["mark at the end", "blanks around quotes", "blanks after commas"],
)
def test_marks_and_blanks_that_say_nothing_do_no_harm(tmp_path, lines):
    rows = CsvSource(write(tmp_path, "\n".join(lines) + "\n")).check().rows
    assert rows["y"].tolist() == [1.5, 2.5]
    assert list(rows) == ["unique_id", "ds", "y"]
