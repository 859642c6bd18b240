"""Headless Chromium, driven by its command line: no browser package is needed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interp.report.pages import Page

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=20000",
    "--enable-logging=stderr", "--v=0", "--dump-dom",
    # nothing leaves this machine, not even what the browser asks for on its own
    "--proxy-server=127.0.0.1:1", "--proxy-bypass-list=<-loopback>",
)  # fmt: skip

# run at the end of a page: what became of it, as an attribute, and as a message where the page is in a frame
PROBE = """<script>addEventListener("load", function () { setTimeout(function probe() {
  var page = document.documentElement;  // a report says when its figures can be drawn; another page of a test does not
  if (document.querySelector("[data-figure]") && !page.hasAttribute("data-ready")) { setTimeout(probe, 100); return; }
  window.dispatchEvent(new Event("beforeprint"));  // draws all figures
  window.dispatchEvent(new Event("afterprint"));
  if (OPEN) document.querySelectorAll("details").forEach(function (d) { d.open = true; });
  var root = document.documentElement, style = getComputedStyle(document.body), figures = [];
  document.querySelectorAll("[data-figure]").forEach(function (place) {
    var box = place.getBoundingClientRect(), title = place.querySelector(".xtitle, .xtick text, .annotation-text, text");
    figures.push({ svgs: place.querySelectorAll("svg.main-svg").length, width: box.width, height: box.height,
      asked: JSON.parse(document.getElementById(place.id + "-data").textContent).data.length,
      drawn: (place._fullData || []).length, ink: title ? getComputedStyle(title).fill : "" });
  });
  var wide = [];
  document.querySelectorAll("body *").forEach(function (e) {
    if (e.closest(".scroll, pre, svg, script")) return;
    var right = Math.max(e.getBoundingClientRect().right, e.scrollWidth);
    if (right > innerWidth + 0.5) wide.push(e.tagName + ": " + e.textContent.slice(0, 80));
  });
  var found = JSON.stringify({ width: innerWidth, scroll: root.scrollWidth, figures: figures, wide: wide.slice(0, 5),
    dark: matchMedia("(prefers-color-scheme: dark)").matches, background: style.backgroundColor, color: style.color });
  root.setAttribute("data-probe", found);
  if (parent !== window) parent.postMessage(found, "*");
}, 1000); });</script>"""

FRAME = """<!DOCTYPE html><body style="margin:0"><iframe src="{name}" width="{width}" height="800" style="border:0"></iframe>
<script>addEventListener("message", function (e) {{ document.documentElement.setAttribute("data-probe", e.data); }});</script>"""


def find() -> str | None:
    """The browser's command, where there is one."""
    return next((path for command in COMMANDS if (path := shutil.which(command))), None)


@dataclass(frozen=True)
class Visit:
    """What a page did: attributes of its root element, lines on the console, addresses that it asked the network for."""

    attributes: dict[str, str]
    console: list[str]
    requests: list[str]

    @property
    def probe(self) -> dict[str, Any]:
        """What `PROBE` found."""
        return json.loads(self.attributes["data-probe"])


def visit(browser: str, page: Path, scratch: Path, *flags: str) -> Visit:
    """Open a local page with an empty profile and wait until it is done."""
    scratch.mkdir(parents=True)
    log = scratch / "net.json"
    argv = [browser, *FLAGS, *flags, f"--user-data-dir={scratch / 'profile'}", f"--log-net-log={log}", page.as_uri()]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, errors="replace")
    assert done.returncode == 0, done.stderr[-2000:]
    console = [line.partition("CONSOLE")[2] for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Visit(_root(done.stdout), console, _requests(log))


def _root(dom: str) -> dict[str, str]:
    tag = re.search(r"<html[^>]*>", dom)
    assert tag, f"no page came back: {dom[:200]!r}"
    return Page(tag.group()).elements[0][1]


def _requests(log: Path) -> list[str]:
    """Addresses outside this machine's files that a page asked for; the browser's own have no origin."""
    events = json.loads(log.read_text(encoding="utf-8", errors="replace"))
    started = events["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [e.get("params", {}) for e in events["events"] if e["type"] == started]
    return [p["url"] for p in asked if "url" in p and p.get("initiator") != "not an origin"]


def probed(page: Path, copy: Path, *, unfold: bool = False) -> Path:
    """A copy of a page that ends in `PROBE`; with ``unfold`` everything folded is opened first."""
    before, end, after = page.read_text(encoding="utf-8").rpartition("</body>")
    assert end, f"{page} has no end"
    copy.write_text(before + PROBE.replace("OPEN", str(unfold).lower()) + end + after, encoding="utf-8")
    return copy


def framed(page: Path, width: int) -> Path:
    """A page that shows another in a frame as narrow as a phone; a headless window is never below 500 pixels."""
    outer = page.with_name(f"framed-{page.name}")
    outer.write_text(FRAME.format(name=page.name, width=width), encoding="utf-8")
    return outer
