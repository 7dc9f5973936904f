"""Check a built site: every link within it leads somewhere, and no page loads anything from another host.

``python docs/check_site.py site`` prints each fault and ends with status 1 if there are any. It needs no network.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself, unlike a link that a person may click.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "use": "href"}
FETCHED_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "manifest", "preconnect", "dns-prefetch"}
OUTSIDE_IN_CSS = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])((?:https?:)?//[^'\")\s]+)")


class Page(HTMLParser):
    """The links, the fetched addresses and the anchors of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag refers to."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        is_fetched = tag == "link" and FETCHED_LINKS & set(values.get("rel", "").split())
        address = values.get("href") if is_fetched else values.get(FETCHED.get(tag, ""))
        if address:
            self.fetched.append(address)


def faults(site: Path) -> Iterator[str]:
    """Yield what is wrong, one sentence each."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site)
        for address in page.fetched:
            if _is_outside(address):
                yield f"{name} loads {address} from another host."
        for address in [*page.links, *page.fetched]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{name} links to {address}, which does not exist."
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{name} links to {address}, but there is no such anchor."
    for path in sorted(site.rglob("*.css")):
        for address in OUTSIDE_IN_CSS.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)} loads {address} from another host."


def _is_outside(address: str) -> bool:
    return urlsplit(address).scheme in ("http", "https") or address.startswith("//")


def main() -> int:
    """Print the faults of the site that is named; return 1 if there are any."""
    site = Path(sys.argv[1]).resolve()
    if not (site / "index.html").is_file():
        print(f"{site} holds no index.html; build the site first, with make docs.")
        return 1
    found = list(faults(site))
    print("\n".join(found) or f"{site}: every link leads somewhere, and no page needs another host.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
