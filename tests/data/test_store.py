from __future__ import annotations

import errno
import hashlib
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatecast.data.errors import DamagedFileError, InputError
from gatecast.data.store import (
    atomic_directory,
    atomic_file,
    content_hash,
    read_json,
    read_parquet,
    read_parquet_metadata,
    set_aside,
    sha256_file,
    symbol_filename,
    write_json,
    write_parquet,
)
from tests.damage import HARM_NAMES, HARMS
from tests.data.frames import REPRODUCIBLE, make_bars

SYMBOLS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)


def test_a_file_has_the_hash_of_its_bytes(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    assert sha256_file(path) == hashlib.sha256(b"abc").hexdigest()


def test_the_content_hash_is_the_same_in_another_process():
    imports = "from gatecast.data.store import content_hash; from tests.data.frames import make_bars"
    code = f"{imports}; print(content_hash(make_bars()))"
    root = Path(__file__).parents[2]
    other = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == content_hash(make_bars())


@pytest.mark.parametrize(
    "change",
    [
        lambda bars: bars.assign(close=np.nextafter(bars["close"], 0)),
        lambda bars: bars.rename(columns={"close": "y"}),
        lambda bars: bars.astype({"close": np.float32}),
        lambda bars: bars.assign(unique_id="B"),
        lambda bars: bars.assign(ds=bars["ds"] + pd.Timedelta(1, "ns")),
        lambda bars: bars.assign(ds=bars["ds"].dt.tz_localize("UTC")),
        lambda bars: bars[::-1],
        lambda bars: bars[:-1],
    ],
)
def test_the_content_hash_sees_every_change(change):
    bars = make_bars().astype({"ds": "datetime64[ns]"})
    assert content_hash(change(bars)) != content_hash(bars)


def test_the_content_hash_does_not_depend_on_how_text_is_held():
    bars = make_bars(("A", "B"))
    assert content_hash(bars.astype({"unique_id": object})) == content_hash(bars)
    assert content_hash(bars.astype({"unique_id": "category"})) == content_hash(bars)


def test_parquet_round_trip_keeps_bits_and_metadata(tmp_path):
    bars = make_bars(("A", "B"))
    write_parquet(bars, tmp_path / "new" / "bars.parquet", {"gatecast": "é"})
    frame, metadata = read_parquet(tmp_path / "new" / "bars.parquet")
    assert content_hash(frame) == content_hash(bars)
    assert metadata == {"gatecast": "é", "content_hash": content_hash(bars)}


def test_dates_and_counts_take_next_to_no_space(tmp_path):
    moments = pd.bdate_range("2000-01-03", periods=5_000, tz="America/New_York").as_unit("ns")
    frame = pd.DataFrame({"ds": moments, "step.1": range(5_000), "c d[0]": np.random.default_rng(0).normal(size=5_000)})
    path = write_parquet(frame, tmp_path / "a.parquet")
    assert path.stat().st_size < 8 * 5_000 + 8_000
    assert read_parquet(path)[0].equals(frame)


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path):
    path = write_parquet(make_bars(), tmp_path / "key=value" / "EURUSD=X.parquet")
    assert list(read_parquet(path)[0].columns) == list(make_bars().columns)


def test_parquet_cut_anywhere_is_named(tmp_path):
    path = write_parquet(make_bars(), tmp_path / "bars.parquet")
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"bars\.parquet cannot be read as Parquet"):
            read_parquet(path)


def test_json_round_trip(tmp_path):
    value = {"a": [1, 0.1, None], "é": "ü"}
    assert read_json(write_json(tmp_path / "f.json", value)) == value


def test_broken_json_is_named(tmp_path):
    (tmp_path / "f.json").write_text('{"a": ')
    with pytest.raises(InputError, match=r"f\.json cannot be read as JSON"):
        read_json(tmp_path / "f.json")


@pytest.mark.parametrize("read", [read_json, read_parquet])
def test_a_missing_file_and_a_directory_are_named(read, tmp_path):
    with pytest.raises(InputError, match="nothing does not exist"):
        read(tmp_path / "nothing")
    with pytest.raises(InputError, match="is a directory"):
        read(tmp_path)


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = write_json(tmp_path / "f.json", 1)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, float("nan"))
    assert read_json(path) == 1


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_directory_and_nothing_else(tmp_path):
    path = tmp_path / "d"
    with atomic_directory(path) as temporary:
        (temporary / "f").write_text("old")
    with pytest.raises(OSError, match="full"), atomic_directory(path) as temporary:
        (temporary / "f").write_text("half")
        raise OSError("disk full")
    assert (path / "f").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "d"
    for name in ("old", "new"):
        with atomic_directory(path) as temporary:
            (temporary / name).touch()
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_comes_back_when_the_new_one_cannot_take_its_place(tmp_path):
    path = tmp_path / "d"
    with atomic_directory(path) as temporary:
        (temporary / "f").write_text("old")
    with pytest.raises(FileNotFoundError), atomic_directory(path) as temporary:
        temporary.rename(tmp_path / "elsewhere")
    assert (path / "f").read_text() == "old"


def test_what_is_damaged_is_set_aside_and_overwrites_nothing(tmp_path):
    path = tmp_path / "f.json"
    for content, name in (("one", "f.json.damaged"), ("two", "f.json.damaged-2"), ("three", "f.json.damaged-3")):
        path.write_text(content)
        assert set_aside(path) == tmp_path / name
        assert not path.exists()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "f.json.damaged": "one", "f.json.damaged-2": "two", "f.json.damaged-3": "three",
    }  # fmt: skip


def test_what_has_gone_cannot_be_set_aside_and_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        set_aside(tmp_path / "f.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["[]", "null", '"text"', "0", "[1, 2]", '{"a": "b"}', "[" * 100_000])
def test_json_of_another_form_is_damaged(tmp_path, text):
    path = tmp_path / "f.json"
    path.write_text(text)
    with pytest.raises(DamagedFileError, match=r"f\.json .* it is damaged: fetch it\."):
        read_json(path, dict[str, int], mend="fetch it")


@pytest.mark.parametrize("harm", HARMS, ids=HARM_NAMES)
def test_a_damaged_file_is_known_as_such(tmp_path, harm):
    files = {
        read_json: write_json(tmp_path / "f.json", {"a": "b"}),
        read_parquet: write_parquet(make_bars(), tmp_path / "f.parquet"),
        read_parquet_metadata: write_parquet(make_bars(), tmp_path / "g.parquet"),
    }
    for read, path in files.items():
        harm(path)
        with pytest.raises(DamagedFileError, match=f"^{re.escape(str(path))} "):
            read(path, dict) if read is read_json else read(path)


def test_no_flipped_bit_of_a_parquet_file_is_read_as_something_else(tmp_path):
    said = {"version": "v0001", "target": "close"}
    path = write_parquet(make_bars(rows=40), tmp_path / "bars.parquet", said)
    whole = path.read_bytes()
    expected = content_hash(read_parquet(path)[0])
    unseen = 0
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 1 << (place % 8)
        path.write_bytes(content)
        try:
            rows, metadata = read_parquet(path)
        except DamagedFileError:
            continue
        assert content_hash(rows) == expected
        assert all(metadata.get(name) in (value, None) for name, value in said.items())  # the list may be cut
        unseen += 1  # in a statistic, or the like
    assert unseen < len(whole) / 2


def test_no_changed_character_of_a_json_file_is_read_as_something_else(tmp_path):
    for number, value in enumerate(({"a": [1, 0.7255, None], "é": "ü", "is": True}, [{"rows": 17}, {"rows": 18}])):
        path = write_json(tmp_path / f"{number}.json", value)
        whole = path.read_bytes()
        for place in range(len(whole)):
            for bit in range(8):
                content = bytearray(whole)
                content[place] ^= 1 << bit
                path.write_bytes(content)
                try:
                    found = read_json(path, type(value))
                except DamagedFileError:
                    continue
                if isinstance(found, dict):  # its hash may have become another key
                    found = {name: found.get(name) for name in value}
                assert found == value, (place, bit)


def test_files_without_hashes_are_read_as_before(tmp_path):
    for text, value in (('{"a": 1}', {"a": 1}), ("[1, 2]", [1, 2]), ('"b"', "b")):
        (tmp_path / "f.json").write_text(text)
        assert read_json(tmp_path / "f.json") == value
    pq.write_table(pa.table({"y": [1.0]}, metadata={"model": "m"}), tmp_path / "f.parquet")
    rows, metadata = read_parquet(tmp_path / "f.parquet")
    assert (rows["y"].tolist(), metadata) == ([1.0], {"model": "m"})


@pytest.mark.parametrize("value", [{}, [], {"value": 1}, {"value": 1, "b": 2}, {"sha256": "mine"}, None, "text", 0.1])
def test_every_value_comes_back(tmp_path, value):
    kept = {} if value == {"sha256": "mine"} else value  # that name belongs to the file
    assert read_json(write_json(tmp_path / "f.json", value)) == kept


def test_every_kind_of_column_comes_back(tmp_path):
    days = pd.date_range("2020-01-01", periods=2)
    frame = pd.DataFrame(
        {
            "s": days.astype("datetime64[s]"), "ns": days.astype("datetime64[ns]"), "zone": days.tz_localize("CET"),
            "text": ["a", None], "kinds": pd.Categorical(["x", "y"]), "date": days.date, "whole": pd.array([1, None]),
            "nothing": [None, None], "nan": [np.nan, 1.0], "flag": [True, False],
        }
    )  # fmt: skip
    for rows in (frame, frame.iloc[:0]):
        found, _ = read_parquet(write_parquet(rows, tmp_path / "f.parquet"))
        assert found["text"].isna().tolist() == rows["text"].isna().tolist()
        assert list(found) == list(frame)


@pytest.mark.parametrize("told", [(errno.ENOSPC, "No space left"), (errno.EIO, "bad"), ("bad",)])
def test_an_error_of_the_disk_names_the_file(tmp_path, monkeypatch, told):
    def fail(*_):
        raise OSError(*told)

    monkeypatch.setattr("gatecast.data.store.os.fsync", fail)
    with pytest.raises(OSError, match=r"f\.json'$") as raised:
        write_json(tmp_path / "f.json", {})
    assert raised.value.filename == str(tmp_path / "f.json")
    with pytest.raises(OSError, match=r"d/f'$"), atomic_directory(tmp_path / "d") as temporary:
        (temporary / "f").write_text("")


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("AAPL", "AAPL"),
        ("^GSPC", "^GSPC"),
        ("EURUSD=X", "EURUSD=X"),
        ("BRK.B", "BRK.B"),
        ("sp500", "sp500+"),
        ("Ab", "A%62"),
        ("../etc", "%2E%2E%2Fetc+"),
        ("..", "%2E%2E"),
        (".X", "%2EX"),
        ("X.", "X%2E"),
        ("A/B", "A%2FB"),
        ("NUL", "%4EUL"),
        ("COM1.L", "%43OM1.L"),
        ("7", "7"),
    ],
)
def test_symbols_become_file_names(symbol, name):
    assert symbol_filename(symbol) == name


@REPRODUCIBLE
@given(SYMBOLS)
def test_a_file_name_is_plain_and_gives_its_symbol_back(symbol):
    name = symbol_filename(symbol)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._^=-%+")
    assert ".." not in name
    assert len(name) <= 150
    if len(symbol.encode()) * 3 < 150:
        assert unquote(name.removesuffix("+")) == symbol


@REPRODUCIBLE
@given(SYMBOLS, SYMBOLS)
def test_two_symbols_never_share_a_file_name_in_any_case(one, other):
    for another in {other, one.upper(), one.lower(), one.swapcase()} - {one}:
        assert symbol_filename(one).lower() != symbol_filename(another).lower()


def test_a_long_symbol_ends_in_its_hash():
    names = {symbol_filename("A" * 200 + last) for last in "BCD"}
    assert len(names) == 3
    assert max(map(len, names)) <= 150


def test_an_empty_symbol_is_refused():
    with pytest.raises(InputError, match="symbol is empty"):
        symbol_filename("")
