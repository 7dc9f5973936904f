"""A link that leads nowhere, a missing anchor and anything that is loaded from another host are found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[2] / "docs" / "check_site.py"


def checked(site: Path) -> tuple[int, list[str]]:
    done = subprocess.run([sys.executable, CHECK, site], capture_output=True, text=True)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "guide").mkdir()
    (tmp_path / "style.css").write_text("body { background: url(paper.png) }", encoding="utf-8")
    (tmp_path / "index.html").write_text(
        '<link rel="stylesheet" href="style.css"><h1 id="top">Home</h1><a href="guide/first%20steps.html#one">Go</a>'
        '<a href="guide/">Guide</a><a href="https://example.com/">Elsewhere</a><a href="#top">Up</a>',
        encoding="utf-8",
    )
    (tmp_path / "guide" / "index.html").write_text('<a href="../index.html">Home</a>', encoding="utf-8")
    (tmp_path / "guide" / "first steps.html").write_text('<p id="one">One</p>', encoding="utf-8")
    return tmp_path


def add(site: Path, html: str) -> None:
    with (site / "index.html").open("a", encoding="utf-8") as page:
        page.write(html)


def test_a_whole_site_has_no_fault(site):
    status, lines = checked(site)
    assert status == 0
    assert lines == [f"{site}: every link leads somewhere, and no page needs another host."]


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ('<a href="gone.html">x</a>', "index.html links to gone.html, which does not exist."),
        ('<img src="gone.png">', "index.html links to gone.png, which does not exist."),
        ('<a href="#bottom">x</a>', "index.html links to #bottom, but there is no such anchor."),
        (
            '<a href="guide/first%20steps.html#two">x</a>',
            "index.html links to guide/first%20steps.html#two, but there is no such anchor.",
        ),
        (
            '<script src="https://cdn.example.com/mermaid.js"></script>',
            "index.html loads https://cdn.example.com/mermaid.js from another host.",
        ),
        (
            '<link rel="preload" href="//fonts.example.com/a">',
            "index.html loads //fonts.example.com/a from another host.",
        ),
    ],
)
def test_each_fault_is_named(site, html, fault):
    add(site, html)
    assert checked(site) == (1, [fault])


def test_a_style_sheet_that_loads_a_font_is_found(site):
    (site / "style.css").write_text("@import 'https://fonts.example.com/inter.css';", encoding="utf-8")
    assert checked(site) == (1, ["style.css loads https://fonts.example.com/inter.css from another host."])


def test_an_empty_folder_is_no_site(tmp_path):
    status, lines = checked(tmp_path)
    assert status == 1
    assert lines == [f"{tmp_path} holds no index.html; build the site first, with make docs."]
