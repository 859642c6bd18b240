"""The report used as a reader uses it, in one browser that stays open: contents, folding, search, copying, printing, weight."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interp.report.chromium import find
from tests.interp.report.devtools import Browser, Tab, opened

pytestmark = pytest.mark.browser
MOST = 2_000_000  # bytes of the usual page
WIDE = """Array.from(document.querySelectorAll('body *')).filter(e => !e.closest('.scroll, pre, svg, script')
  && Math.max(e.getBoundingClientRect().right, e.scrollWidth) > innerWidth + 0.5).map(e => e.tagName + e.className).slice(0, 5)"""
COPIED = """(() => { let got = ''; navigator.clipboard.writeText = text => { got = text; return Promise.resolve(); };
  const box = document.getElementById('BOX'); box.open = true; box.querySelector('[data-copy]').click();
  return new Promise(done => { const t = setInterval(() => { if (got) { clearInterval(t); done(got); } }, 20); }); })()"""
REFUSED = """(() => { let got = ''; navigator.clipboard.writeText = () => Promise.reject(new Error('no'));
  document.execCommand = () => { got = document.activeElement.value; return true; };
  document.getElementById('BOX').querySelector('[data-copy]').click();
  return new Promise(done => { const t = setInterval(() => { if (got) { clearInterval(t); done(got); } }, 20); }); })()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all tests; without Chromium they skip, or fail where it was promised."""
    command = find()
    if command is None:
        (pytest.fail if os.environ.get("INTERP_REQUIRE_BROWSER") else pytest.skip)("there is no Chromium")
    one = Browser(str(command), tmp_path_factory.mktemp("live") / "profile")
    yield one
    one.close()


@pytest.fixture(scope="module")
def desk(browser: Browser, demo_report: Path) -> Iterator[Tab]:
    """The demo's report in a wide window."""
    with opened(browser, demo_report / "index.html") as tab:
        tab.wait("document.documentElement.dataset.ready")
        yield tab


def test_weight(demo_report: Path) -> None:
    """The usual page stays below two million bytes."""
    assert (demo_report / "index.html").stat().st_size < MOST


def test_it_paints_before_plotly_is_unpacked(desk: Tab) -> None:
    """The first contentful paint waits for no figure; on an idle machine it comes well within half a second."""
    assert desk.run("performance.getEntriesByName('first-contentful-paint').length") == 1
    painted = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    assert desk.run(f"{painted} < window.plotlyAt") is True


@pytest.mark.bench
def test_first_paint(browser: Browser, demo_report: Path) -> None:
    """Within half a second, the best of three visits."""
    times = []
    for _ in range(3):
        with opened(browser, demo_report / "index.html") as tab:
            times.append(tab.wait("(performance.getEntriesByName('first-contentful-paint')[0] || {}).startTime"))
    assert min(times) < 500


def test_the_contents_follow(desk: Tab) -> None:
    """Every section has its entry; after scrolling to one, and after its link, the entry is marked."""
    links = desk.run("Array.from(document.querySelectorAll('#contents a')).map(a => a.hash.slice(1))")
    assert set(desk.run("Array.from(document.querySelectorAll('section')).map(s => s.id)")) <= set(links)
    assert desk.run("getComputedStyle(document.getElementById('menu')).display") == "none"
    for how in (
        "document.getElementById('fourier').scrollIntoView()",
        "document.querySelector('#contents a[href=\"#circuit\"]').click()",
    ):
        desk.run(how)
        wanted = "fourier" if "fourier" in how else "circuit"
        desk.wait(f"(document.querySelector('#contents a[aria-current]') || {{}}).hash === '#{wanted}'")
        assert 0 <= desk.run("document.getElementById('contents').getBoundingClientRect().top") < 5


def test_figures_are_drawn_when_near(desk: Tab) -> None:
    """One far below is not drawn until a reader comes near; then it has its curves, and its title is text above it."""
    last = "Array.from(document.querySelectorAll('[data-figure]')).pop()"
    assert desk.run(f"{last}.querySelector('svg')") is None
    desk.run(f"{last}.scrollIntoView()")
    desk.wait(f"!!{last}.querySelector('svg.main-svg')")
    assert desk.run(f"{last}.querySelector('.gtitle')") is None
    assert desk.run(f"{last}.parentElement.querySelector('figcaption').textContent") == "Singular values"
    assert "index" in desk.run(f"{last}.getAttribute('aria-label')")


def test_folding(desk: Tab) -> None:
    """All closed, all open, and a link to a closed section opens it."""
    open_ = "Array.from(document.querySelectorAll('details.fold')).filter(d => d.open).length"
    desk.run("document.getElementById('close-all').click()")
    assert desk.run(open_) == 0
    desk.run("location.hash = '#neurons'")
    desk.wait("document.querySelector('#neurons details.fold').open")
    assert desk.run(open_) == 1
    desk.run("document.getElementById('open-all').click()")
    assert desk.run(open_) == desk.run("document.querySelectorAll('details.fold').length")


def test_copying(desk: Tab) -> None:
    """A table goes to the clipboard whole, though a dozen rows are shown; without the permission by the older way."""
    box = desk.run("document.querySelector('#neurons details.table[id]').id")
    rows = desk.run(COPIED.replace("BOX", box)).split("\n")
    assert rows[0].split("\t")[:3] == ["site", "unit", "active"]
    assert len(rows) == 193
    assert len(desk.run(REFUSED.replace("BOX", box)).split("\n")) == 193
    assert desk.run(f"document.querySelectorAll('#{box} tbody tr').length") == 12
    desk.run(f"document.querySelector('#{box} [data-more]').click()")
    desk.wait(f"document.querySelectorAll('#{box} tbody tr').length === 192")


def test_search(desk: Tab) -> None:
    """A word filters the rows of all tables and the figures' titles; without it everything is back."""
    state = "[document.querySelectorAll('main section.none').length, document.querySelectorAll('.figure.none').length]"
    write = "const s = document.getElementById('search'); s.value = 'WORD'; s.dispatchEvent(new Event('input'));"
    before = desk.run("document.querySelectorAll('tbody tr').length")
    desk.run(f"(() => {{ {write.replace('WORD', 'L0N17')} }})()")
    desk.wait("document.documentElement.classList.contains('searching')")
    hits = (
        "Array.from(document.querySelectorAll('main .table:not(.none) tbody tr')).map(r => r.textContent.toLowerCase())"
    )
    assert desk.run(hits)
    assert all("l0n17" in row for row in desk.run(hits))
    hidden, figures = desk.run(state)
    assert hidden > 0
    assert figures > 0
    assert "rows" in desk.run("document.getElementById('found').textContent")
    desk.run(f"(() => {{ {write.replace('WORD', '')} }})()")
    desk.wait("!document.documentElement.classList.contains('searching')")
    assert desk.run(state) == [0, 0]
    assert desk.run("document.querySelectorAll('tbody tr').length") == before


def test_light_and_dark(desk: Tab) -> None:
    """The switch turns the page and the figures' ink."""
    look = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('.xtitle')).fill]"
    desk.wait("!!document.querySelector('.xtitle')")
    before = desk.run(look)
    desk.run("document.getElementById('theme').click()")
    after = desk.run(look)
    assert before[0] != after[0]
    assert before[1] != after[1]
    desk.run("document.getElementById('theme').click()")
    assert desk.run(look) == before


def test_narrow(browser: Browser, demo_report: Path) -> None:
    """On a phone the contents drop down from a button, nothing is wider than the view, and nothing complains."""
    with opened(browser, demo_report / "index.html", 390, 844, dark=True) as tab:
        tab.wait("document.documentElement.dataset.ready")
        assert tab.run("getComputedStyle(document.getElementById('places')).display") == "none"
        tab.run("document.getElementById('menu').click()")
        assert tab.run("getComputedStyle(document.getElementById('places')).display") != "none"
        tab.run("document.querySelector('#contents a[href=\"#svd\"]').click()")
        assert tab.run("getComputedStyle(document.getElementById('places')).display") == "none"
        tab.wait("!!document.querySelector('#svd svg.main-svg')")
        assert tab.run("document.documentElement.scrollWidth") <= 390
        assert tab.run(WIDE) == []
        assert tab.complaints() == []


@pytest.mark.slow  # every figure is drawn for the printer
def test_printing(desk: Tab) -> None:
    """Everything is opened and drawn for the printer, and closed again; the PDF has its pages."""
    closed = desk.run("document.querySelectorAll('main details:not([open])').length")
    pdf = desk.pdf()
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") > 10
    assert desk.run("Array.from(document.querySelectorAll('[data-figure]')).every(p => p.querySelector('svg'))")
    assert desk.run("document.querySelectorAll('main details:not([open])').length") == closed
    assert desk.run(WIDE) == []
    assert desk.run("document.documentElement.scrollWidth") <= 1440
    assert desk.complaints() == []
