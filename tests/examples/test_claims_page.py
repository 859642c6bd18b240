"""The page of claims: every row is there and says what is behind it; the filter finds, counts, and stands in the address."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.interp.report.chromium import find
from tests.interp.report.devtools import Browser, Tab, opened
from tests.interp.report.pages import Page

sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "docs")]

import claims_page  # noqa: E402

import claims  # noqa: E402

SHOWN = "Array.from(document.querySelectorAll('tbody tr')).filter(r => r.offsetParent).map(r => r.id)"
WIDE = """Array.from(document.querySelectorAll('body *')).filter(e => e.getBoundingClientRect().right > innerWidth + 0.5
  ).map(e => e.tagName + e.textContent.slice(0, 40))"""
HOSTILE = "<b>x</b> & \"y\" 'z' ```"


def row(notebook: str, name: str, verdict: str, **more: Any) -> dict[str, Any]:
    """A row as `claims.rows` gives it."""
    kind = next(kind for kind, verdicts in claims.CLASSES.items() if verdict in verdicts)
    said = {"claim": f"{name} rises", "where": "Fig. 1", "reported": "by eye", "criterion": f"Holds: {name} is above 0"}
    here = {"here": "0.5", "note": "", "command": "make it", "ran": {}, "short": [], "verdict": verdict, "class": kind}
    return {"notebook": notebook, "title": notebook.title(), "source": "A paper", "name": name, **said, **here, **more}


ROWS = [
    row("same_answers", "alpha", "holds", figure="cka-of-seeds", needs={"steps": 1_000}, ran={"steps": 2_000}),
    row("same_answers", "beta", "undecided", claim=HOSTILE, note=f"because\n{HOSTILE}"),
    row("other", "gamma", "does not hold", reported="a needle " + "long" * 30),
    row("other", "delta", "agrees"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as the site has it, but for the theme around it."""
    folder = tmp_path_factory.mktemp("page")
    text = claims_page.write(ROWS, claims.CLASSES, folder)
    form, *tables = re.findall(r"^```\{raw\} html\n(.*?)\n```$", text, re.DOTALL | re.MULTILINE)
    for name in ("claims.js", "claims.css"):
        (folder / "_static" / name).write_text((ROOT / "docs" / "_static" / name).read_text(encoding="utf8"))
    body = form + "".join(f"<section>{table}</section>" for table in tables)
    head = '<!DOCTYPE html><meta charset="utf8"><meta name="viewport" content="width=device-width">'
    (folder / "page.html").write_text(f'{head}<body><div class="content">{body}</div></body>', encoding="utf8")
    return folder / "page.html"


def test_figures_of_claims_are_there() -> None:
    """Each tag that a claim names is that of a cell which has drawn."""
    named = {
        (n, c["figure"]) for n, said in claims.registry().items() for c in said["claims"].values() if "figure" in c
    }
    assert named
    assert all(claims_page.picture(notebook, tag=tag).startswith(b"\x89PNG") for notebook, tag in named)
    with pytest.raises(LookupError, match="'no-such-tag' holds a picture"):
        claims_page.picture("same_answers", tag="no-such-tag")


def test_rows_without_a_script(page: Path) -> None:
    """All are shown, each with its anchor, figure or its lack, sizes and counts; words are words."""
    text = page.read_text(encoding="utf8")
    elements = Page(text).elements
    rows = [own for tag, own in elements if tag == "tr" and "id" in own]
    assert [own["id"] for own in rows] == ["same_answers-alpha", "same_answers-beta", "other-gamma", "other-delta"]
    assert not any("hidden" in own for own in rows)
    assert "hidden" in next(own for tag, own in elements if tag == "form")
    (image,) = (own for tag, own in elements if tag == "img")
    assert image["loading"] == "lazy"
    assert int(image["width"]) == 520  # as the notebook drew it
    assert (page.parent / image["src"]).read_bytes() == claims_page.picture("same_answers", tag="cka-of-seeds")
    assert text.count("no figure") == 3
    assert "2,000 steps (needs 1,000)" in text
    assert "<b>x</b>" not in text
    assert text.count("&lt;b&gt;x&lt;/b&gt; &amp; &quot;y&quot;") == 2
    counted = re.sub(r"<[^>]+>", "", text[text.index('id="claims-count"') :].partition("</p>")[0])
    assert (
        "4 of 4 claims: 2 replicated (1 holds, 0 holds in part, 1 does not hold); 1 undecided; 0 not run; 1 file"
        in counted
    )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    command = find()
    if command is None:
        (pytest.fail if os.environ.get("INTERP_REQUIRE_BROWSER") else pytest.skip)("there is no Chromium")
    one = Browser(str(command), tmp_path_factory.mktemp("claims") / "profile")
    yield one
    one.close()


@pytest.fixture
def desk(browser: Browser, page: Path) -> Iterator[Tab]:
    with opened(browser, page) as tab:
        yield tab
        assert tab.complaints() == []


def choose(tab: Tab, name: str, value: str) -> None:
    """As a reader does."""
    tab.run(f"""(() => {{ const field = document.querySelector('[name={name}]'); field.value = '{value}';
      field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()""")


@pytest.mark.browser
def test_the_filter(desk: Tab) -> None:
    """By class, verdict, source and words, also those of a folded criterion; counts and address follow; all come back."""
    assert len(desk.run(SHOWN)) == 4
    choose(desk, "class", "replicated")
    assert desk.run(SHOWN) == ["same_answers-alpha", "other-gamma"]
    assert desk.run("location.hash") == "#class=replicated"
    choose(desk, "words", "NEEDLE above")
    assert desk.run(SHOWN) == ["other-gamma"]
    assert "1 of 4 claims: 1 replicated (0 holds, 0 holds in part, 1 does not hold)" in desk.run(
        "document.getElementById('claims-count').textContent"
    )
    assert desk.run("Array.from(document.querySelectorAll('section')).map(s => s.hidden)") == [True, False]
    desk.run("document.querySelector('[type=reset]').click()")
    desk.wait(f"{SHOWN}.length === 4")
    assert desk.run("location.hash") == ""


@pytest.mark.browser
def test_addresses(desk: Tab) -> None:
    """One with a filter filters; one with a row shows it, whatever was chosen; nonsense shows everything."""
    desk.run("location.hash = '#source=other&verdict=agrees'")
    desk.wait(f"{SHOWN}.join() === 'other-delta'")
    assert desk.run("document.querySelector('[name=source]').value") == "other"
    desk.run("location.hash = '#other-delta'")
    desk.run("new Promise(done => setTimeout(done, 100))")
    assert desk.run(SHOWN) == ["other-delta"]
    desk.run("location.hash = '#same_answers-beta'")
    desk.wait(f"{SHOWN}.length === 4")
    desk.run("location.hash = '#class=replicated'")
    desk.wait(f"{SHOWN}.length === 2")
    desk.run("location.hash = '#class=no such&x=y'")
    desk.wait(f"{SHOWN}.length === 4")


@pytest.mark.browser
def test_a_phone(browser: Browser, page: Path) -> None:
    """Cards that are not wider than the screen, each cell with its name."""
    with opened(browser, page, 375, 800) as tab:
        assert tab.run(WIDE) == []
        assert tab.run("getComputedStyle(document.querySelector('tbody tr')).display") == "block"
        assert tab.run("getComputedStyle(document.querySelector('td + td'), '::before').content") == '"source"'
