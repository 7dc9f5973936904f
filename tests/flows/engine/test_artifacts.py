from __future__ import annotations

import html
import json
import re
from typing import Any
from uuid import uuid4

import pytest
from markdown_it import MarkdownIt

from gatecast.flows.engine import artifacts
from gatecast.flows.engine.artifacts import Markdown, code_block, escaped
from gatecast.flows.engine.orchestration import flow, task

NAMES = [
    "![p](http://127.0.0.1:9/x.png)",
    "[here](http://127.0.0.1:9)",
    "[a][b] [c]: http://127.0.0.1:9",
    "<img src=http://127.0.0.1:9/x.png>",
    "<http://127.0.0.1:9>",
    "<script>alert(1)</script>",
    "http://127.0.0.1:9/x and www.example.com, HTTPS://x",
    "me@work.example",
    "**bold** _slanted_ ~~gone~~ `code` a_b_c",
    "# heading",
    "- item",
    "+ item",
    "1. item",
    "2014) item",
    "> quote",
    "---",
    "***",
    "| a | b |",
    "~~~",
    "```",
    "    code",
    "&lt;b&gt; &#91; S&P 500",
    "back\\slash \\[x](y)",
    "$x$ {{ y }} [red]z[/red]",
    "日経 225 – naïve (2 %)",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_as_it_is(name: str) -> None:
    shown = MarkdownIt("commonmark").render(escaped(name))
    assert html.unescape(shown) == f"<p>{name.strip()}</p>\n"
    assert not re.search(r"<(?!/?p>)", shown)


@pytest.mark.parametrize("name", NAMES)
def test_no_address_is_left_that_a_reader_makes_a_link_of(name: str) -> None:
    # GitHub's Markdown, which the dashboard reads, needs no brackets for a link.
    assert not re.search(r"(?i)\b(https?|ftp)://|\bwww\.|\w@\w", escaped(name))


def test_what_would_be_lines_is_one() -> None:
    assert escaped("a\n\n# b\r\u2028![c](d)") == r"a\\n\\n# b\\r\\u2028!\[c\](d)"


def test_figures_and_sentences_are_not_touched() -> None:
    for text in ("0.8440", "+3.1%", "-1.5", "2014-01-02 to 2018-12-31", "RMSE 0.84 against 1.01 (skill +16.2%).", "–"):
        assert escaped(text) == text


def test_markdown_stays_what_it_is() -> None:
    text = Markdown("**a**")
    assert escaped(text) is text
    assert escaped(escaped("**a**")) == r"\*\*a\*\*"


def test_generated_text_is_a_block_of_code() -> None:
    text = "\n<b>\r![p](http://x)\r\n```\n\u2028# a\n\tb\x1b"
    shown = MarkdownIt("commonmark").render(f"Heading\n\n{code_block(text)}\n")
    assert shown.startswith("<p>Heading</p>\n<pre><code>")
    assert not re.search(r"<(?!/?(p|pre|code)>)", shown)


@task("publish", cached=False)
def publish(name: str) -> dict[str, Any]:
    artifacts.create_table_artifact([{"series": name, "rows": 3, "none": None}], key="hostile-table", description=name)
    artifacts.create_markdown_artifact(Markdown("*on purpose*"), key="hostile-markdown", description=name)
    artifacts.create_link_artifact("/reports/x", name, key="hostile-link", description=name)
    made = artifacts.create_progress_artifact(key="hostile-progress", description=name)
    artifacts.update_progress_artifact(made, 50.0, name)
    return {"summary": ""}


@flow(name="publishing")
def publishing(name: str) -> None:
    publish(name)


def test_every_artifact_shows_text_as_it_is(server: str) -> None:
    from prefect.client.orchestration import get_client

    name = f"![p](http://127.0.0.1:9/{uuid4().hex})"
    publishing(name)
    with get_client(sync_client=True) as client:
        found = {each.key: each for each in client.read_artifacts() if str(each.key).startswith("hostile-")}
    assert set(found) == {"hostile-table", "hostile-markdown", "hostile-link", "hostile-progress"}
    assert {each.description for each in found.values()} == {escaped(name)}
    assert json.loads(str(found["hostile-table"].data)) == [{"series": escaped(name), "rows": 3, "none": None}]
    assert found["hostile-markdown"].data == "*on purpose*"
    assert found["hostile-link"].data == f"[{escaped(name)}](/reports/x)"
    assert found["hostile-progress"].data == 50.0
