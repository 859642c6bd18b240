"""The README's pictures are those that ``make pictures`` would make now."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs" / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_the_report_is_not_stale(pictures: ModuleType, demo_report: Path) -> None:
    """The demo still shows these numbers and claims, on a page of these templates; if not: make pictures."""
    result = json.loads((demo_report / "result.json").read_text(encoding="utf8"))
    stored = json.loads(pictures.STORED.read_text(encoding="utf8"))
    assert len(stored["shown"]) > 5
    assert pictures.stale(result, stored) == [], "the picture is stale: make pictures"
    assert (pictures.IMAGES / "report.png").read_bytes().startswith(b"\x89PNG")


def test_what_makes_it_stale(
    pictures: ModuleType, demo_report: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another number, another word, another template; not the last digit."""
    result = json.loads((demo_report / "result.json").read_text(encoding="utf8"))
    stored = {"templates": pictures.templates(), "shown": pictures.shown(result)}
    assert pictures.stale(result, stored) == []
    name, part = next((n, p) for n, p in result["analyses"].items() if p.get("verdict"))
    for text, expected in (
        ("3.000 [2.900]", False),
        ("3.001 [2.901]", False),
        ("3.2 [2.9]", True),
        ("about 3.0 [2.9]", True),
    ):
        changed = copy.deepcopy(result)
        changed["analyses"][name]["verdict"] = [["number", text], *part["verdict"]]
        then = {**stored, "shown": [*stored["shown"], "number: 3.0 [2.9]"]}
        assert bool(pictures.stale(changed, then)) is expected, text
    monkeypatch.setattr(pictures, "TEMPLATES", tmp_path)
    assert pictures.stale(result, stored) == ["the templates of the page have changed"]


def test_the_gallery_is_that_of_the_notebooks(pictures: ModuleType) -> None:
    for name, (notebook, words) in pictures.PICTURES.items():
        assert (pictures.IMAGES / f"{name}.png").read_bytes() == pictures.picture(notebook, words), (
            f"{name}: make pictures"
        )
