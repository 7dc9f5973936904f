from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from gatecast.data.errors import InputError
from gatecast.data.language.tagging import (
    chunks,
    convert,
    has_chunks,
    parse_conll,
    read_conll,
    write_conll,
    write_json_lines,
)

TEXT = "Ada\tB-person\nLovelace\tI-person\nwrote\tO\n\nto\tO\nLondon\tB-place\n"


def write(tmp_path, content: str | bytes):
    path = tmp_path / "tagged.conll"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_tokens_tags_and_lines_are_read(tmp_path):
    text = read_conll(write(tmp_path, TEXT))
    assert text.sentences == [["Ada", "Lovelace", "wrote"], ["to", "London"]]
    assert text.tags == [["B-person", "I-person", "O"], ["O", "B-place"]]
    assert text.lines == [1, 5]
    assert text.place(1, 1).endswith("tagged.conll, line 6")


@pytest.mark.parametrize(
    "content",
    [
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\t", "   "),
        "\ufeff" + TEXT,
        "\n\n" + TEXT + "\n\n\n",
        TEXT.replace("\n\n", "\n\t\n"),
        "# from a letter\n" + TEXT,
        "-DOCSTART-\tO\n\n" + TEXT,
        "-DOCSTART- -X- O\n\n" + TEXT.replace("\n\n", "\n-DOCSTART- -X- O\n"),
    ],
    ids=["crlf", "spaces", "mark", "empty lines", "blank line", "comment", "document", "documents"],
)
def test_the_forms_that_files_come_in(tmp_path, content):
    expected = parse_conll(TEXT, "text")
    found = read_conll(write(tmp_path, content))
    assert (found.sentences, found.tags) == (expected.sentences, expected.tags)


def test_any_column_is_read():
    text = "1 Ada NNP B-person\n2 wrote VBD O\n"
    found = parse_conll(text, "text", word_column=1, tag_column=2)
    assert (found.sentences, found.tags) == ([["Ada", "wrote"]], [["NNP", "VBD"]])
    assert parse_conll(text, "text", word_column=1, tag_column=None).tags == [["O", "O"]]


def test_a_hashtag_is_a_token_and_a_tab_separates_words_with_spaces():
    found = parse_conll("#fun\tO\nNew York\tB-place\n", "text")
    assert found.sentences == [["#fun", "New York"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no sentence"),
        ("\n \n", "holds no sentence"),
        ("a\tO\nb\n", "line 2: 1 column, where the first row has 2"),
        ("a O\n\nb O O\n", "line 3: 3 columns, where the first row has 2"),
        ("a\tO\nb\t \n", "line 2: a column is empty"),
        (b"a\tO\nb\xff\tO\n", "line 2: the byte at offset 5 is not UTF-8"),
    ],
)
def test_bad_files_are_named_with_the_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as error:
        read_conll(write(tmp_path, content))
    assert "tagged.conll" in str(error.value)


def test_a_column_that_is_not_there_and_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="line 1: there is no column 2, since the rows have 2"):
        parse_conll(TEXT, "text", tag_column=2)
    with pytest.raises(InputError, match="does not exist"):
        read_conll(tmp_path / "missing.conll")


def test_a_tag_of_no_scheme_is_named_with_its_line():
    parse_conll(TEXT, "text").require_chunks()
    with pytest.raises(InputError, match="text, line 6: 'place' is no tag of a chunk"):
        parse_conll(TEXT.replace("B-place", "place"), "text").require_chunks()


def test_what_is_written_is_read_again(tmp_path):
    text = parse_conll(TEXT, "text")
    file = io.StringIO()
    write_conll(file, text.sentences, text.tags)
    again = parse_conll(file.getvalue(), "again")
    assert (again.sentences, again.tags) == (text.sentences, text.tags)


def test_json_lines_hold_tokens_tags_and_chunks():
    text = parse_conll(TEXT, "text")
    file = io.StringIO()
    write_json_lines(file, text.sentences, text.tags)
    first, second = map(json.loads, file.getvalue().splitlines())
    assert first["chunks"] == [{"start": 0, "stop": 2, "type": "person", "text": "Ada Lovelace"}]
    assert second["tokens"] == ["to", "London"]
    file = io.StringIO()
    write_json_lines(file, [["runs"]], [["VBZ"]])
    assert json.loads(file.getvalue()) == {"tokens": ["runs"], "tags": ["VBZ"]}


# The same four chunks, two of one type side by side, in each scheme.
SAME = {
    "IOB1": "I-a I-a B-a O I-b I-a",
    "BIO": "B-a I-a B-a O B-b B-a",
    "BIOES": "B-a E-a S-a O S-b S-a",
    "BILOU": "B-a L-a U-a O U-b U-a",
}


@pytest.mark.parametrize("source", SAME)
@pytest.mark.parametrize("target", ["IOB1", "BIO", "BIOES"])
def test_schemes_are_converted_into_one_another(source, target):
    assert convert(SAME[source].split(), target) == SAME[target].split()


def test_chunks_follow_the_rules_of_the_conll_script():
    assert chunks(["I-a", "I-b"]) == [(0, 1, "a"), (1, 2, "b")]
    assert chunks(["O", "I-a", "O"]) == [(1, 2, "a")]
    assert chunks(["B-creative-work", "I-creative-work"]) == [(0, 2, "creative-work")]
    assert chunks([]) == []
    with pytest.raises(ValueError, match="'NN' is no tag"):
        chunks(["NN"])
    with pytest.raises(ValueError, match="choose one of BIO, BIOES, IOB1"):
        convert(["O"], "IO")


def test_whether_tags_mark_chunks():
    assert has_chunks([["O"], ["B-a"]])
    assert not has_chunks([["NN", "O"], ["VB"]])


@given(st.lists(st.sampled_from([f"{prefix}-{kind}" for prefix in "BIES" for kind in "ab"] + ["O"]), max_size=12))
def test_conversion_keeps_the_chunks_that_seqeval_finds(tags):
    expected = [(start, stop + 1, kind) for kind, start, stop in get_entities(tags)]
    assert chunks(tags) == expected
    for scheme in ("IOB1", "BIO", "BIOES"):
        assert chunks(convert(tags, scheme)) == expected
