"""The prose of the project avoids the phrases of `tests.prose`, and these are found where they are."""

from __future__ import annotations

import pytest

from tests import prose

FOUND_IN_PYTHON = [
    ("# It stands here.\n", [(1, "stands")]),
    ('"""A comparison beside others."""\n', [(1, "beside")]),
    ('def f():\n    """Summary.\n\n    Let it run with so\n    many threads.\n    """\n', [(4, "so many")]),
    ("# the parts of\n# which it is made\nx = 1\n", [(1, "of which")]),
    ('raise ValueError(\n    "The file is wrong; "\n    f"{name} has to be mended"\n)\n', [(3, "mended")]),
    ('print("so "\n      f"many {n} rows")\n', [(1, "so many")]),
    ("x = 1  # trained ANEW\n", [(1, "ANEW")]),
    ("'''It is none; it\nknows  nothing.'''\n", [(1, "is none"), (2, "knows nothing")]),
]

NOT_FOUND_IN_PYTHON = [
    "anew = beside.stand(mend)\n",
    "# the option `anew`, and ``so many`` of them\n",
    'f"{anew} and {beside!r}"\n',
    '("so", "many")\n',
    "# standard, understand, besides, amendment, nonesuch\n",
    "# x stands for the input, and y stands in for it\n",
    '"""What is None is filled in."""\n',
]


@pytest.mark.parametrize(("source", "expected"), FOUND_IN_PYTHON)
def test_phrases_are_found_in_comments_docstrings_and_strings(source, expected):
    assert [(hit.line, hit.phrase) for hit in prose.find(source, ".py")] == expected


@pytest.mark.parametrize("source", NOT_FOUND_IN_PYTHON)
def test_code_and_other_words_are_not_prose(source):
    assert prose.find(source, ".py") == []


def test_phrases_are_found_in_markdown_but_not_in_its_code_spans():
    text = "# Speed\n\nTimes beside those of `beside`.\n\n    make bench   # trained anew\n"
    assert [(hit.line, hit.phrase) for hit in prose.find(text, ".md")] == [(3, "beside"), (5, "anew")]


def test_a_stray_backtick_hides_nothing_after_its_paragraph():
    assert prose.find("A ` here.\n\nIt stands ` there.\n", ".md") == [prose.Hit(3, "stands", "is")]


def test_the_files_of_all_rooms_are_looked_at_once():
    names = list(prose.files())
    assert {"README.md", "Makefile", "flows/retrain.py", "lstm/nn/layers.py", "docs/operating.md"} <= set(names)
    assert not [name for name in names if name.startswith("gatecast/lstm/")]
    assert set(prose.files(["lstm/nn"])) == {name for name in names if name.startswith("lstm/nn/")}


def test_the_command_lists_and_counts(capsys, tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("Good.\n\nIt stands.\n", encoding="utf-8")
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    assert prose.main([]) == 1
    assert capsys.readouterr().out == "README.md:3: stands -> is\n"
    assert prose.main(["--count"]) == 1
    assert capsys.readouterr().out == "    1 .\n    1 in all\n"
    assert prose.main(["docs"]) == 0
