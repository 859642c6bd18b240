"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

import interp

# the machine may be busy with something else, and a failure must be the same failure everywhere
EXAMPLES = int(os.environ.get("INTERP_EXAMPLES", "25"))  # of each property; nightly many more
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=EXAMPLES)
settings.load_profile("suite")

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
DEMO = ROOT / "interp" / "demo" / "run"

# Tests that run with the shapes in the signatures checked at every call (`make test`): those of probes and circuits, without
# those of bad shapes, which beartype would stop before our own message; the laws, since hypothesis does not like beartype's
# random sampling inside its strategies; and whole analyses, whose parts have been checked already.
UNSHAPED = (
    "refus", "laws", "bad_input", "names_that_do_not_exist", "names_and_former_names", "other_networks_do_not",
    "test_mutations", "tests/probes/analyses/",
)  # fmt: skip
Once = Callable[[str, Callable[[Path], None]], Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, saying so, what needs data or hardware that is not here."""
    no_data = pytest.mark.skip(reason=f"the checkpoints of others are not at {DATA}")
    no_cuda = pytest.mark.skip(reason="no CUDA device")
    items.sort(key=_place)
    for item in items:
        part = item.path.relative_to(ROOT).parts[:2]
        if part in (("tests", "probes"), ("tests", "circuits")) and not any(name in item.nodeid for name in UNSHAPED):
            item.add_marker("shaped")
        if "real_data" in item.keywords and not DATA.is_dir():
            item.add_marker(no_data)
        if "cuda" in item.keywords and not torch.cuda.is_available():
            item.add_marker(no_cuda)


def _place(item: pytest.Item) -> int:
    """What shares the demo's report first, in one process while others work; then the longest, so that none ends alone."""
    if {"demo_report", "demo_outcomes"} & set(getattr(item, "fixturenames", ())):
        return 0
    return 1 if item.path.name == "test_real_data.py" else 2


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What is measured here is kept here, not in the user's cache."""
    path = tmp_path_factory.mktemp("cache") / "measures.sqlite"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTERP_CACHE", str(path))
        yield path


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Once:
    """``once(name, make)``: a folder that ``make`` fills a single time for all processes of the tests."""
    own = tmp_path_factory.getbasetemp()
    root = own if worker_id == "master" else own.parent

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        with FileLock(root / f"{name}.lock"):
            if not (root / name).is_dir():
                part = root / f"{name}.part"
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                make(part)
                part.rename(root / name)
        return root / name

    return folder


@pytest.fixture(scope="session")
def demo() -> interp.Subject:
    """The run that ships with the package."""
    return interp.load(DEMO, device="cpu", dtype="float64")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real checkpoints; use with the marker ``real_data``."""
    return DATA
