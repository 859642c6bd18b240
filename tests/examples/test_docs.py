"""The documentation builds without a warning, every link in it leads somewhere, and every export has an entry."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest

import circuits
import interp
import probes
from tests.conftest import ROOT, Once

pytest.importorskip("sphinx")
PACKAGES: tuple[ModuleType, ...] = (interp, probes, circuits)


@pytest.fixture(scope="session")
def site(once: Once) -> Path:
    """What ``make docs`` writes."""

    def make(folder: Path) -> None:
        made = shutil.ignore_patterns("notebooks", "index.md", "claims.md", "__pycache__")
        shutil.copytree(ROOT / "docs", folder / "docs", ignore=lambda path, names: made(path, names) - kept(path))
        shutil.copy(ROOT / "README.md", folder)
        shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("runs", "plugin", "data"))
        words = ["-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", folder / "docs", folder / "site"]
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=300, cwd=ROOT)
        assert done.returncode == 0, done.stderr

    return once("docs", make) / "site"


def kept(path: str) -> set[str]:
    """The first pages of the API reference and of the evidence are written by hand."""
    return {"index.md"} if Path(path).name in ("reference", "evidence") else set()


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


@pytest.mark.slow
def test_all_kinds_of_pages(site: Path) -> None:
    names = {str(page.relative_to(site)) for page in pages(site)}
    assert {
        "index.html",
        "claims.html",
        "evidence/index.html",
        "methods.html",
        "glossary.html",
        "reference/index.html",
        "search.html",
    } <= names
    notebooks = {f"notebooks/{path.stem}.html" for path in (ROOT / "examples").glob("*.ipynb")}
    assert {name for name in names if name.startswith("notebooks/")} == notebooks
    assert len([name for name in names if name.startswith("how_to/")]) >= 6


@pytest.mark.slow
def test_a_row_per_claim(site: Path) -> None:
    """With its verdict, and an address."""
    page = (site / "claims.html").read_text(encoding="utf8")
    assert set(re.findall(r'<tr role="row" id="([^"]+)"', page)) == addresses(ROOT / "examples" / "sources")


def addresses(folder: Path) -> set[str]:
    """The address of every claim."""
    files = {path.stem: tomllib.loads(path.read_text(encoding="utf8")) for path in folder.glob("*.toml")}
    return {f"{source}-{name}" for source, said in files.items() for name in said["claims"]}


@pytest.mark.slow
def test_links_and_pictures(site: Path) -> None:
    """Files and places in them; from every page, the API reference too."""

    @cache
    def places(path: Path) -> set[str]:
        return set(re.findall(r'\bid="([^"]+)"', path.read_text(encoding="utf8")))

    lost = []
    for page in pages(site):
        for target in re.findall(r'(?:href|src)="([^"]+)"', page.read_text(encoding="utf8")):
            if re.match(r"\w+:", target) or target.startswith("//"):
                continue
            name, _, place = unquote(target).partition("#")
            path = (page.parent / name.partition("?")[0]).resolve() if name else page
            if not path.exists() or (place and path.suffix == ".html" and place not in places(path)):
                lost.append(f"{page.relative_to(site)}: {target}")
    assert not lost


def test_links_of_the_readme_and_of_contributing() -> None:
    """As GitHub shows them."""
    lost = []
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md"):
        for target in re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf8")):
            if not re.match(r"\w+:", target) and not (page.parent / target).exists():
                lost.append(f"{page.name}: {target}")
    assert not lost


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.__name__)
@pytest.mark.slow
def test_every_export_has_an_entry(site: Path, package: ModuleType) -> None:
    """On a page of the API reference, with what its docstring says."""
    text = "".join(page.read_text(encoding="utf8") for page in (site / "reference").glob("*.html"))
    missing = [
        name for name in package.__all__
        if name != "__version__" and not re.search(rf'\bid="(module-)?{package.__name__}\.{name}"', text)
    ]  # fmt: skip
    assert not missing


@pytest.mark.slow
def test_docstrings_are_rendered(site: Path) -> None:
    """Sections, and links between entries."""
    page = (site / "reference" / "experiments.html").read_text(encoding="utf8")
    assert "Ablate every component of a kind" in page
    assert "Parameters" in page
    assert "Raises" in page


@pytest.mark.slow
def test_formulas_need_no_script(site: Path) -> None:
    """MathML, so that a reader without a network sees them."""
    page = (site / "methods.html").read_text(encoding="utf8")
    assert page.count("<math") > 50
    assert not re.search(r"<script[^>]*mathjax", page, re.IGNORECASE)


@pytest.mark.slow
def test_engine_rooms_are_left_out(site: Path) -> None:
    text = "".join(page.read_text(encoding="utf8") for page in (site / "reference").glob("*.html"))
    for room in ("circuits.engine", "interp._util", "interp.cli", "interp.checkpoints.formats"):
        assert f'id="{room}.' not in text
        assert f'id="module-{room}' not in text
