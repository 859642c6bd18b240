"""Make the README's pictures: ``make pictures``, which runs ``python docs/pictures.py`` (needs Chromium).

The report is that of ``interp demo``, photographed; the gallery is copied out of the stored notebooks. Beside them,
``docs/images/pictures.json`` holds what the report showed and of which templates it was made, so that a test sees when the
picture is stale.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
STORED = IMAGES / "pictures.json"
TEMPLATES = ROOT / "interp" / "report"
WIDTH, HEIGHT = 1280, 900  # of the first screen that is shown
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--virtual-time-budget=20000",
    "--disable-background-networking", "--proxy-server=127.0.0.1:1", f"--window-size={WIDTH},{HEIGHT}",
)  # fmt: skip
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")
PICTURES = {  # file in docs/images: the notebook, and words of the cell that draws it
    "gallery_modes": ("modular_addition", "Each mode as it turns on"),
    "gallery_sweeps": ("picbreeder_vs_sgd", "Symmetry and rank of the changes"),
    "gallery_phases": ("effective_theory", "Toy addition, classification"),
    "gallery_noise": ("sparse_parity", "Test accuracy against label noise"),
}


def picture(notebook: str, words: str = "", tag: str = "") -> bytes:
    """The PNG that a notebook's cell with these words, or with this tag, has drawn.

    Raises:
        LookupError: there is no such cell, or it was stored without a picture.
    """
    cells = json.loads((ROOT / "examples" / f"{notebook}.ipynb").read_text(encoding="utf8"))["cells"]
    for cell in cells:
        tagged = not tag or tag in cell["metadata"].get("tags", ())
        if cell["cell_type"] == "code" and tagged and words in "".join(cell["source"]):
            for output in cell["outputs"]:
                if "image/png" in output.get("data", {}):
                    return base64.b64decode(output["data"]["image/png"])
    raise LookupError(
        f"no cell of {notebook} with {words or tag!r} holds a picture; run make notebooks where Chromium is"
    )


def shown(result: dict[str, Any]) -> list[str]:
    """What the first screen of a report says: the lines of its verdict, and its claims.

    Args:
        result: the contents of ``result.json``.

    Returns:
        One text a line or claim, sorted: another order on the page is another template.
    """
    lines = [f"{label}: {text}" for part in result["analyses"].values() for label, text in part.get("verdict", ())]
    return sorted({*lines, *_claims(result)})


def _claims(value: Any) -> list[str]:
    """Every claim in a result, wherever it stands: an object with a verdict and a sentence."""
    if isinstance(value, dict):
        if isinstance(value.get("verdict"), str) and isinstance(value.get("text"), str):
            return [f"{value['text']}: {value['verdict']}, {value.get('value', '')} {value.get('against', '')}"]
        return [claim for inner in value.values() for claim in _claims(inner)]
    return [claim for inner in value for claim in _claims(inner)] if isinstance(value, list) else []


def templates() -> str:
    """A digest of what draws the page: templates, style and scripts, line ends aside."""
    digest = hashlib.sha256()
    for file in sorted(TEMPLATES.glob("*.j2")):
        digest.update(file.name.encode() + b"\n" + b"\n".join(file.read_bytes().splitlines()))
    return digest.hexdigest()


def stale(result: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    """Why the picture of the report is no longer what the demo shows.

    Args:
        result: ``result.json`` of the demo's report now.
        stored: what stands beside the picture.

    Returns:
        The reasons, none where it is as new. Numbers may differ by 1%: another machine rounds otherwise.
    """
    now, then = shown(result), stored["shown"]
    reasons = [] if templates() == stored["templates"] else ["the templates of the page have changed"]
    words = {NUMBER.sub("#", line) for line in now} ^ {NUMBER.sub("#", line) for line in then}
    if words:
        return [*reasons, f"the page says something else: {sorted(words)[0]}"]
    by_words = sorted(now, key=_order), sorted(then, key=_order)
    return reasons + [f"{b!r} is now {a!r}" for a, b in zip(*by_words, strict=True) if not _close(a, b)]


def _order(line: str) -> tuple[str, list[float]]:
    return NUMBER.sub("#", line), _numbers(line)


def _numbers(line: str) -> list[float]:
    return [float(n.replace(",", "")) for n in NUMBER.findall(line)]


def _close(one: str, other: str) -> bool:
    return all(
        math.isclose(a, b, rel_tol=0.01, abs_tol=1e-9) for a, b in zip(_numbers(one), _numbers(other), strict=True)
    )


def photograph(page: Path, target: Path) -> None:
    """The first screen of a page as a PNG.

    Raises:
        LookupError: no browser is installed.
        RuntimeError: the browser drew nothing.
    """
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise LookupError(f"a browser draws the page: install one of {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as profile:
        words = [browser, *FLAGS, f"--user-data-dir={profile}", f"--screenshot={target}", page.resolve().as_uri()]
        done = subprocess.run(words, capture_output=True, text=True, timeout=180, errors="replace")
    if done.returncode or not target.is_file():
        raise RuntimeError(f"the browser drew nothing: {done.stderr[-500:]}")


def make() -> None:
    """All pictures, and what they show."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        subprocess.run(
            [Path(sys.executable).with_name("interp"), "demo", "--device", "cpu", "--out", report], check=True
        )
        photograph(report / "index.html", IMAGES / "report.png")
        result = json.loads((report / "result.json").read_text(encoding="utf8"))
    STORED.write_text(json.dumps({"templates": templates(), "shown": shown(result)}, indent=1) + "\n", encoding="utf8")
    for name, (notebook, words) in PICTURES.items():
        (IMAGES / f"{name}.png").write_bytes(picture(notebook, words))


if __name__ == "__main__":
    make()
