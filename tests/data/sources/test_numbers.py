"""Numbers in the ways that people write them, read right or asked about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatecast.data.errors import InputError
from gatecast.data.sources.csv_format import CsvFormat
from gatecast.data.sources.files import read_csv
from gatecast.data.sources.source import CsvSource
from tests.data.frames import REPRODUCIBLE


def write(folder: Path, cells: list[str], delimiter: str = ";") -> Path:
    rows = [f"2020-01-{day:02d}{delimiter}{cell}" for day, cell in enumerate(cells, 1)]
    path = folder / "f.csv"
    path.write_text("\n".join([f"ds{delimiter}y", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("cells", "delimiter", "expected"),
    [
        (["1.846", "987", "0.5"], ";", [1.846, 987, 0.5]),
        (["1.846", "2.158", "3,5"], ";", [1846, 2158, 3.5]),
        (["1.846", "1.234.567"], ";", [1846, 1234567]),
        (["1,846", "1,234,567"], ";", [1846, 1234567]),
        (["1,846", "12.5"], "\t", [1846, 12.5]),
        (["1.846", "0.500"], ";", [1.846, 0.5]),
        (["1.846", "1846.125"], ";", [1.846, 1846.125]),
        (["1846", "987"], ";", [1846, 987]),
        (['"1,846"', '"987"'], ",", [1846, 987]),
        (['"1,846.5"', "12"], ",", [1846.5, 12]),
        (['"1,5"', '"2,25"'], ",", [1.5, 2.25]),
        (["100.341", "99.284"], ",", [100.341, 99.284]),
        (["1 846,5", "987"], ";", [1846.5, 987]),
        (["1\u202f846", "1\u00a0847,25"], ";", [1846, 1847.25]),
        (["1'846.50", "12"], ";", [1846.5, 12]),
        (["1.5e3", "-2E-2"], ";", [1500, -0.02]),
        ([" 12,5 ", "13,5"], ";", [12.5, 13.5]),
        (["-1.846,25", "+2,5"], ";", [-1846.25, 2.5]),
    ],
)
def test_other_cells_decide_what_a_mark_means(tmp_path, cells, delimiter, expected):
    frame = read_csv(write(tmp_path, cells, delimiter))
    np.testing.assert_array_equal(frame["y"].to_numpy(np.float64), expected)


@pytest.mark.parametrize(
    ("cells", "delimiter"),
    [
        (["1.846", "987"], ";"),
        (["1.846", "2.158"], ";"),
        (["1,846", "987"], ";"),
        (["1.846", "2.158"], "\t"),
        (["1.846", "987"], ","),
        (["1.846", '"1,846"'], ","),
    ],
)
def test_three_digits_after_a_mark_are_asked_about(tmp_path, cells, delimiter):
    path = write(tmp_path, cells, delimiter)
    with pytest.raises(InputError, match=r"1[.,]846 can be read in two ways, as 1846 and as 1\.846; .*--decimal="):
        read_csv(path)
    given_point = read_csv(path, CsvFormat(decimal="."))["y"].to_numpy(np.float64)
    assert given_point[0] == (1.846 if cells[0][1] == "." else 1846)


def test_the_whole_column_is_looked_at(tmp_path):
    cells = [*(["1.846"] * 20), "0.5"]
    frame = read_csv(write(tmp_path, cells))
    assert frame["y"].tolist() == [*([1.846] * 20), 0.5]


def test_a_decimal_mark_that_changes_is_refused(tmp_path):
    path = write(tmp_path, [*(["99,25"] * 10), "160.25"])
    with pytest.raises(InputError, match=r"160\.25 has a decimal point and 99,25 a decimal comma; write all"):
        read_csv(path)
    with pytest.raises(InputError, match=r"row 11: y is 160\.25, which is not a number whose decimal mark is ','"):
        read_csv(path, CsvFormat(decimal=","))


def test_a_number_next_to_text_is_read_and_the_text_stays(tmp_path):
    assert read_csv(write(tmp_path, ["1,5", "2,5", "closed"]))["y"].tolist() == [1.5, 2.5, "closed"]


STYLES = {",": (",", "."), ";": (".", ","), "\t": (" ", ","), "|": ("'", ".")}


@REPRODUCIBLE
@given(
    values=st.lists(st.integers(-(10**8), 10**8), min_size=2, max_size=12),
    delimiter=st.sampled_from(list(STYLES)),
)
def test_numbers_written_with_groups_and_two_decimals_come_back(tmp_path_factory, values, delimiter):
    thousands, decimal = STYLES[delimiter]
    numbers = [value / 100 for value in values]
    cells = [f"{number:,.2f}".translate(str.maketrans({",": thousands, ".": decimal})) for number in numbers]
    path = write(tmp_path_factory.mktemp("numbers"), [f'"{cell}"' for cell in cells], delimiter)
    np.testing.assert_array_equal(read_csv(path)["y"].to_numpy(np.float64), numbers)


@REPRODUCIBLE
@given(values=st.lists(st.integers(0, 10**7), min_size=2, max_size=12), mark=st.sampled_from([".", ","]))
def test_whole_numbers_with_groups_are_read_right_or_asked_about(tmp_path_factory, values, mark):
    cells = [f"{value:,}".replace(",", mark) for value in values]
    path = write(tmp_path_factory.mktemp("numbers"), cells)
    try:
        read = read_csv(path)["y"].to_numpy(np.float64)
    except InputError as error:
        assert "can be read in two ways" in str(error)
        assert all(value < 10**6 for value in values)
    else:
        np.testing.assert_array_equal(read, values)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["$9,875.50", "$12.00", "-$3.25"], [9875.5, 12.0, -3.25]),
        (["9,9%", "12,5 %", ""], [9.9, 12.5, np.nan]),
        (["1.234,50 €", "7,25 €", "8,00 €"], [1234.5, 7.25, 8.0]),
        (["3.94", "(10.29)", "(0.50)"], [3.94, -10.29, -0.5]),
        (["$1,234.50", "($2.25)", "$0.10"], [1234.5, -2.25, 0.1]),
    ],
)
def test_a_unit_of_all_numbers_is_left_out(tmp_path, cells, expected):
    numbers = CsvSource(write(tmp_path, cells)).check().rows["y"]
    np.testing.assert_array_equal(numbers, expected)


def test_numbers_of_several_units_are_text(tmp_path):
    with pytest.raises(InputError):
        CsvSource(write(tmp_path, ["$5", "€6", "$7", "8%"])).check().require("f.csv")


@pytest.mark.parametrize("mark", ["", "nan", "NA", "N/A", "null", "None", ".", "..", "#N/A", ":"])
def test_the_usual_marks_of_a_missing_value_are_none(tmp_path, mark):
    found = CsvSource(write(tmp_path, ["1.5", mark, "2.5"])).check()
    np.testing.assert_array_equal(found.rows["y"], [1.5, np.nan, 2.5])
    assert not len(found.refused)


@pytest.mark.parametrize("mark", ["-", "?", "x", "<1"])
def test_other_text_is_no_missing_value(tmp_path, mark):
    found = CsvSource(write(tmp_path, ["1.5", mark, "2.5"])).check()
    assert found.problems[["row", "value"]].to_numpy().tolist() == [[2, f"'{mark}'"]]
