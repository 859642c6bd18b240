"""A report's page, read the way a browser reads it: elements, text and scripts, entities resolved."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = ("meta", "link", "img", "br", "hr", "input")


class Page(HTMLParser):
    """What stands in a page.

    Attributes:
        elements: every start tag with its attributes.
        scripts: type and content of every script element, in order.
        red: the text of every block of the class ``bad``.
        text: everything that a reader sees.
        codes: the text of every ``code`` element.
    """

    def __init__(self, source: str):
        super().__init__(convert_charrefs=True)
        self.source = source
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[tuple[str, str]] = []
        self.red: list[str] = []
        self.text = ""
        self.codes: list[str] = []
        self._open: list[tuple[str, bool]] = []  # tag, whether it is a red block
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag == "script":
            self.scripts.append((attributes.get("type", ""), ""))
        if tag == "code":
            self.codes.append("")
        if tag not in VOID:
            red = attributes.get("class") == "bad"
            self._open.append((tag, red))
            if red:
                self.red.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        inside = [tag for tag, _ in self._open]
        if "script" in inside:
            kind, content = self.scripts[-1]
            self.scripts[-1] = (kind, content + data)
        elif "style" not in inside:
            self.text += data
            if inside and inside[-1] == "code":
                self.codes[-1] += data
            if any(red for _, red in self._open):
                self.red[-1] += data

    @property
    def figures(self) -> list[dict[str, Any]]:
        """The figures' JSON."""
        return [json.loads(content) for kind, content in self.scripts if kind == "application/json"]

    @property
    def addresses(self) -> list[str]:
        """Everything that could be fetched or followed."""
        return [a[name] for _, a in self.elements for name in ("src", "href", "data", "action", "srcset") if name in a]


def read(folder: Path) -> tuple[Page, dict[str, Any]]:
    """The page of a report and its ``result.json``, which must be strict: no NaN, no Infinity."""

    def refuse(name: str) -> None:
        raise ValueError(f"result.json holds {name}")

    page = Page((folder / "index.html").read_text(encoding="utf-8"))
    return page, json.loads((folder / "result.json").read_text(encoding="utf-8"), parse_constant=refuse)
