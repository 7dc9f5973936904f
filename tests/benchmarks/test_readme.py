from __future__ import annotations

import pytest

from benchmarks.readme import BEGIN, END, comparison_table, replace_table
from gatecast.data.errors import InputError
from tests.benchmarks.test_results import COMPARISON, MISSING, report


def test_table_has_a_line_for_each_row_with_a_ratio():
    table = comparison_table(report(comparisons=(COMPARISON, MISSING)))
    assert "| training step, 1/2/3/4 | 2 s | torch | 4 s | 3× |" in table
    assert table.count("1/2/3/4") == 1
    assert "torch 2.13.0" in table


def test_only_what_stands_between_the_markers_is_replaced():
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = replace_table(text, "new")
    assert once == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert replace_table(once, "new") == once


@pytest.mark.parametrize("text", ["nothing", BEGIN, f"{END} {BEGIN}"])
def test_missing_markers_are_an_error(text):
    with pytest.raises(InputError, match="has no"):
        replace_table(text, "new")
