from __future__ import annotations

import pytest

from gatecast.data.display import one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("because\u2028it is\u2029\x85\x0b\x1c", r"because\u2028it is\u2029\x85\x0b\x1c"),
        ("\x1b[2Jgone\x07\x00\x7f", r"\x1b[2Jgone\x07\x00\x7f"),
        ("abc\u202edef\u2066\u200f", r"abc\u202edef\u2066\u200f"),
        ("half \ud800", r"half \ud800"),
        ("Zürich 東京 👩‍🚀 é — naïve", "Zürich 東京 👩‍🚀 é — naïve"),
    ],
)
def test_what_breaks_hides_or_turns_a_line_is_shown_as_it_is_written(text: str, shown: str) -> None:
    assert one_line(text) == shown
    assert len(shown.splitlines()) == 1
