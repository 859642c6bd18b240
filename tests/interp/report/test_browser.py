"""The report in a real browser: offline, without an error, every figure drawn, on a desk and on a phone."""

from __future__ import annotations

import os
import re
from pathlib import Path

import plotly.graph_objects as go
import pytest

from interp.plugins.analysis import Outcome, Outcomes, Result
from interp.report import write
from tests.interp.report import hostile
from tests.interp.report.chromium import Visit, find, framed, probed, visit
from tests.interp.report.pages import read
from tests.models import subject

pytestmark = pytest.mark.browser
PHONE = 375  # pixels: a small phone
DARK = "--blink-settings=preferredColorScheme=0"


@pytest.fixture(scope="session")
def browser() -> str:
    """Chromium's command; without one the tests skip, or fail where it was promised."""
    command = find()
    if command is None and os.environ.get("INTERP_REQUIRE_BROWSER"):
        pytest.fail("INTERP_REQUIRE_BROWSER is set, and there is no Chromium")
    if command is None:
        pytest.skip("no Chromium on this machine")
    return command


@pytest.fixture(scope="session")
def desk(browser: str, demo_report: Path, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """The demo's report in a wide window."""
    folder = tmp_path_factory.mktemp("desk")
    page = probed(demo_report / "index.html", folder / "page.html")
    return visit(browser, page, folder / "scratch", "--window-size=1280,900")


def test_the_watch_sees_trouble(browser: str, tmp_path: Path) -> None:
    """An error, a thrown error and an image from elsewhere are all noticed, so that silence means something."""
    page = tmp_path / "page.html"
    page.write_text(
        '<!DOCTYPE html><html><body><img src="http://example.org/x.png"><script src="http://127.0.0.1:9/y.js"></script>'
        '<script>console.error("said"); throw new Error("thrown");</script></body></html>'
    )
    seen = visit(browser, page, tmp_path / "scratch")
    assert {"http://example.org/x.png", "http://127.0.0.1:9/y.js"} <= set(seen.requests)
    assert any('"said"' in line for line in seen.console)
    assert any("thrown" in line for line in seen.console)


def test_the_watch_sees_width(browser: str, tmp_path: Path) -> None:
    """A page that is too wide for a phone is found to be, with the element that is."""
    page = tmp_path / "page.html"
    page.write_text('<!DOCTYPE html><html><body><p style="width:900px">wide</p></body></html>')
    seen = visit(browser, framed(probed(page, tmp_path / "copy.html"), PHONE), tmp_path / "scratch").probe
    assert (seen["width"], seen["dark"], seen["wide"]) == (PHONE, False, ["P: wide"])
    assert seen["scroll"] > PHONE


@pytest.mark.slow
def test_the_demo_as_it_is(browser: str, demo_report: Path, tmp_path: Path) -> None:
    """The very file that a user opens: nothing on the console, nothing from the network, and its script came to its end."""
    seen = visit(browser, demo_report / "index.html", tmp_path / "scratch")
    assert (seen.console, seen.requests) == ([], [])
    assert seen.attributes["data-ready"] == str(len(read(demo_report)[0].figures))


def test_every_figure_is_drawn(desk: Visit, demo_report: Path) -> None:
    """Each has its picture, its size and all its traces."""
    figures, expected = desk.probe["figures"], read(demo_report)[0].figures
    assert len(figures) == len(expected) >= 10
    for drawn, figure in zip(figures, expected, strict=True):
        title = figure["layout"]["title"]["text"]
        assert drawn["svgs"] >= 1, title
        assert drawn["drawn"] == drawn["asked"] == len(figure["data"]) >= 1, title
        assert drawn["width"] > 300, title
        assert drawn["height"] > 200, title


def test_nothing_is_wider_than_a_desk(desk: Visit) -> None:
    """No sideways scrolling in a wide window either."""
    assert desk.probe["wide"] == []
    assert desk.probe["scroll"] <= desk.probe["width"]


@pytest.fixture(scope="session", params=[(), (DARK,)], ids=["light", "dark"])
def phone(
    request: pytest.FixtureRequest, browser: str, demo_report: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bool, Visit]:
    """Whether the reader asked for a dark page, and the demo's report on a phone, with everything unfolded."""
    folder = tmp_path_factory.mktemp("phone")
    copy = probed(demo_report / "index.html", folder / "page.html", unfold=True)
    return bool(request.param), visit(browser, framed(copy, PHONE), folder / "scratch", *request.param)


@pytest.mark.slow
def test_a_phone(phone: tuple[bool, Visit]) -> None:
    """Narrow, with everything unfolded: no sideways scrolling, no element over the edge, all figures drawn."""
    dark, seen = phone
    assert (seen.console, seen.requests) == ([], [])
    assert (seen.probe["width"], seen.probe["dark"]) == (PHONE, dark)
    assert seen.probe["wide"] == []
    assert seen.probe["scroll"] <= PHONE
    assert all(f["svgs"] >= 1 and 200 < f["width"] <= PHONE for f in seen.probe["figures"])


@pytest.mark.slow
def test_legible(phone: tuple[bool, Visit]) -> None:
    """Text and figures stand out from the ground by 4.5 to 1 (WCAG AA), which is dark where the reader asked for it."""
    dark, seen = phone
    assert_legible(seen, dark)


def test_legible_on_a_desk(desk: Visit) -> None:
    """The same in a wide window."""
    assert_legible(desk, dark=False)


def assert_legible(seen: Visit, dark: bool) -> None:
    ground = luminance(seen.probe["background"])
    assert ground < 0.1 if dark else ground > 0.9
    inks = {seen.probe["color"], *(f["ink"] for f in seen.probe["figures"])}
    assert all(contrast(luminance(ink), ground) >= 4.5 for ink in inks), inks


def luminance(color: str) -> float:
    """WCAG's relative luminance of ``rgb(r, g, b)``.

    >>> luminance("rgb(255, 255, 255)"), luminance("rgb(0, 0, 0)")
    (1.0, 0.0)
    """
    channels = [int(c) / 255 for c in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: float, b: float) -> float:
    """WCAG's contrast ratio of two luminances.

    >>> contrast(1.0, 0.0)
    21.0
    """
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


@pytest.mark.slow
def test_a_figure_of_any_make(browser: str, tmp_path: Path) -> None:
    """A plugin's figure that was not styled by `interp.report.figures` is drawn, and so is the one behind it."""
    figures = {name: go.Figure(go.Scatter(x=[1, 2], y=[1, 2])) for name in ("plain", "second")}
    result = Result(figures=figures, context={"options": {}, "dtype": "", "device": "", "seed": 0, "seconds": 0.0})
    write(subject("shared concat"), Outcomes(one=Outcome("one", "ok", "", result)), tmp_path / "out")
    copy = probed(tmp_path / "out" / "index.html", tmp_path / "page.html")
    seen = visit(browser, copy, tmp_path / "scratch")
    assert seen.console == []
    assert [f["drawn"] for f in seen.probe["figures"]] == [1, 1]


@pytest.mark.slow
def test_a_hostile_report(browser: str, tmp_path: Path) -> None:
    """Scripts in names, notes, errors and figures are shown, and none of them runs."""
    write(hostile.subject(), hostile.outcomes(), tmp_path / "out")
    seen = visit(browser, tmp_path / "out" / "index.html", tmp_path / "scratch")
    assert (seen.console, seen.requests) == ([], [])
    assert seen.attributes["data-ready"] == "1"  # the figure that leads stands once
    assert "data-owned" not in seen.attributes
