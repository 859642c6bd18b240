"""The documentation builds without a warning, and every link in it leads somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.conftest import ROOT, Once

pytest.importorskip("sphinx")
pytest.importorskip("pdoc")


@pytest.fixture(scope="session")
def site(once: Once) -> Path:
    """What ``make docs`` writes."""

    def make(folder: Path) -> None:
        shutil.copytree(
            ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("notebooks", "index.md", "claims.md")
        )
        shutil.copy(ROOT / "README.md", folder)
        shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("runs", "plugin", "data"))
        sphinx = ["-m", "sphinx", "-q", "-W", "-b", "html", folder / "docs", folder / "site"]
        for words in (sphinx, [ROOT / "docs" / "reference.py", folder / "site" / "api"]):
            done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=300, cwd=ROOT)
            assert done.returncode == 0, done.stderr

    return once("docs", make) / "site"


def test_links_and_pictures(site: Path) -> None:
    """Of the pages themselves; pdoc answers for its own."""
    pages = [page for page in site.rglob("*.html") if "api" not in page.relative_to(site).parts]
    assert {"index.html", "claims.html", "training.html"} <= {page.name for page in pages}
    assert len([page for page in pages if page.parent.name == "notebooks"]) == 6
    lost = []
    for page in pages:
        for target in re.findall(r'(?:href|src)="([^"#?]+)', page.read_text(encoding="utf8")):
            if re.match(r"\w+:", target) or target.startswith("//"):
                continue
            if not (page.parent / unquote(target)).exists():
                lost.append(f"{page.relative_to(site)}: {target}")
    assert not lost


def test_every_module_has_a_page(site: Path) -> None:
    """With what its docstring says."""
    modules = [p.relative_to(ROOT) for name in ("interp", "probes", "circuits") for p in (ROOT / name).rglob("*.py")]
    for path in modules:
        parts = path.with_suffix("").parts
        name = Path(*(parts[:-1] if parts[-1] == "__init__" else parts))
        assert (site / "api" / name.with_suffix(".html")).is_file(), name
    ablate = (site / "api" / "circuits" / "ablation.html").read_text(encoding="utf8")
    assert "Ablate every component of a kind" in ablate
