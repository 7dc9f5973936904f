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
        "-DOCSTART- -DOCSTART- O\n" + TEXT.replace("\n\n", "\n-DOCSTART- -DOCSTART- O\n"),
        TEXT.replace("\n", "\r"),
        "# letter\n" + TEXT.replace("\t", " ").replace("\n\n", "\n\n# note\n"),
        "#\thttp://example.org/ada [2009-10-17]\n" + TEXT,
    ],
    ids=[
        "crlf",
        "spaces",
        "mark",
        "empty lines",
        "blank line",
        "comment",
        "document",
        "documents",
        "joined documents",
        "cr",
        "comments as wide as rows",
        "source",
    ],
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


CONLLU = """# sent_id = 1
# text = vámonos al mar
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\tV\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\tP\t_\t1\tobj\t_\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\tADP\tS\t_\t5\tcase\t_\t_
4\tel\tel\tDET\tD\t_\t5\tdet\t_\t_
5\tmar\tmar\tNOUN\tN\t_\t1\tobl\t_\tSpaceAfter=No
5.1\tver\tver\tVERB\tV\t_\t_\t_\t0:exroot\t_

0.1\tse\t_\t_\t_\t_\t_\t_\t_\t_
1\t#\t#\tSYM\tF\t_\t0\troot\t_\t_
2\t3-4\t3-4\tNUM\tZ\t_\t1\tnummod\t_\t_

"""


@pytest.mark.parametrize(
    ("columns", "tags"),
    [
        ({}, [["VERB", "PRON", "ADP", "DET", "NOUN"], ["SYM", "NUM"]]),
        ({"word_column": 1, "tag_column": 3}, [["VERB", "PRON", "ADP", "DET", "NOUN"], ["SYM", "NUM"]]),
        ({"tag_column": 4}, [["V", "P", "S", "D", "N"], ["F", "Z"]]),
        ({"tag_column": 9}, [["_", "_", "_", "_", "SpaceAfter=No"], ["_", "_"]]),
        ({"tag_column": None}, [["O"] * 5, ["O"] * 2]),
    ],
)
def test_ranges_and_empty_nodes_of_conllu_are_no_words(columns, tags):
    text = parse_conll(CONLLU, "text", **columns)
    assert text.sentences == [["vamos", "nos", "a", "el", "mar"], ["#", "3-4"]]
    assert text.tags == tags
    assert text.token_lines == [[4, 5, 7, 8, 9], [13, 14]]
    assert parse_conll(CONLLU, "text", word_column=2).sentences[0][:2] == ["ir", "nosotros"]


def test_conllu_plus_names_its_columns():
    text = "# global.columns = ID UPOS FORM\n1-2\t_\tal\n1\tADP\ta\n2\tDET\tel\n"
    found = parse_conll(text, "text")
    assert (found.sentences, found.tags) == ([["a", "el"]], [["ADP", "DET"]])


def test_a_range_of_numbers_is_a_word_in_other_files():
    assert parse_conll("3-4\tNUM\n3.1\tNUM\n", "text").sentences == [["3-4", "3.1"]]


def test_a_column_that_counts_the_tokens_is_not_taken_for_the_words():
    germeval = "#\tn-tv.de vom 26.02.2005 [2005-02-26]\n1\tAda\tB-PER\tO\n2\twrote\tO\tO\n\n1\tYes\tO\tO\n"
    with pytest.raises(InputError, match=r"text: column 0 counts the tokens of each sentence; .*--word-column 1"):
        parse_conll(germeval, "text")
    found = parse_conll(germeval, "text", word_column=1, tag_column=2)
    assert (found.sentences, found.tags) == ([["Ada", "wrote"], ["Yes"]], [["B-PER", "O"], ["O"]])
    assert found.place(1, 0) == "text, line 5"


@pytest.mark.parametrize("separator", ["\t", " "])
@pytest.mark.parametrize("space", ["\u3000", "\u00a0", "\u2009", "\u2028", "\x85"])
def test_a_unicode_space_belongs_to_its_token(separator, space, tmp_path):
    words = [f"東京{space}駅", space, "Oslo"]
    content = "".join(f"{word}{separator}B-LOC\n" for word in words)
    assert read_conll(write(tmp_path, content)).sentences == [words]


def test_a_hash_with_a_tag_is_a_token():
    text = "# NN O\nfun NN O\n\n# a comment\nmore JJ O\n# NN O\n"
    assert parse_conll(text, "text").sentences == [["#", "fun"], ["more", "#"]]
    assert parse_conll("#\tSYM\n1\tNUM\n", "text").sentences == [["#", "1"]]


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
