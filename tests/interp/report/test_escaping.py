"""Text from files, users and plugins is text on the page, wherever it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import interp
from interp.report import write
from tests.interp.report import hostile
from tests.interp.report.hostile import EVIL
from tests.interp.report.pages import Page, read
from tests.models import make


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of the hostile report."""
    out = tmp_path_factory.mktemp("hostile") / "out"
    write(hostile.subject(), hostile.outcomes(), out)
    return read(out)[0]


def test_no_script_of_theirs(page: Page) -> None:
    """The scripts are one JSON per figure, what is compressed, and the page's own: the parser finds no other."""
    assert [kind for kind, _ in page.scripts] == ["application/json", "text/plain", "text/plain", ""]
    assert not any("alert(1)" in content for kind, content in page.scripts if kind == "")
    assert "<script>alert" not in page.source
    assert EVIL not in page.source


def test_no_element_of_theirs(page: Page) -> None:
    """No image, no attribute that is an event, no bold that they opened."""
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")]
    assert {tag for tag, _ in page.elements} <= {
        "html", "head", "meta", "title", "link", "style", "body", "h1", "h2", "h3", "p", "b", "div", "span", "ul", "li", "a",
        "nav", "details", "summary", "table", "thead", "tbody", "tr", "th", "td", "section", "pre", "script", "main", "header",
        "button", "input", "figure", "figcaption", "code",
    }  # fmt: skip


def test_all_text_arrives(page: Page) -> None:
    """Escaped once, so that a reader sees what was written: a parser gives every text back as it was."""
    places = {
        "name": f"{EVIL} - interp report",
        "warning": f"Warning: {EVIL}",
        "error": f"bad failed: {EVIL}",
        "reason": f"idle was skipped: {EVIL}",
        "headline": f"{EVIL}.",
        "table": f"Table: {EVIL} (1 rows)",
        "options": f"Options: {EVIL}={EVIL}",
    }
    assert {name: text for name, text in places.items() if text not in page.text} == {}
    assert page.text.count(EVIL) >= 20
    assert any(EVIL in attributes.get("aria-label", "") for _, attributes in page.elements)


def test_figures_survive(page: Page) -> None:
    """A figure's JSON reads back with its texts unchanged."""
    for figure in page.figures:
        assert figure["layout"]["title"]["text"] == EVIL
        assert figure["layout"]["annotations"][0]["text"] == EVIL
        assert figure["data"][0]["name"] == EVIL


def test_from_a_file(tmp_path: Path) -> None:
    """The way there: a tensor's name and a file's name, through loading and analysing, to the page."""
    weights = {**make("plain").state_dict(), "<script>alert(1)</script>": torch.ones(2)}
    file = tmp_path / "<script>alert(1)<script>.pt"
    torch.save(weights, file)
    subject = interp.load(file, device="cpu")
    assert subject.provenance.extra_tensors == ("<script>alert(1)</script>",)
    write(subject, interp.analyze(subject, ["weights"]), tmp_path / "out")
    page, found = read(tmp_path / "out")
    assert "<script>alert(1)" not in page.source
    assert "<script>alert(1)</script>" in page.text
    assert found["provenance"]["extra_tensors"] == ["<script>alert(1)</script>"]
    assert found["subject"]["name"] == file.name
