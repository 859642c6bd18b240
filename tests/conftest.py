"""Fixtures that several folders of tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

import interp

# the machine may be busy with something else, and a failure must be the same failure everywhere
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("suite")

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
DEMO = ROOT / "interp" / "demo" / "run"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, saying so, what needs data or hardware that is not here."""
    no_data = pytest.mark.skip(reason=f"the checkpoints of others are not at {DATA}")
    no_cuda = pytest.mark.skip(reason="no CUDA device")
    for item in items:
        if "real_data" in item.keywords and not DATA.is_dir():
            item.add_marker(no_data)
        if "cuda" in item.keywords and not torch.cuda.is_available():
            item.add_marker(no_cuda)


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What is measured here is kept here, not in the user's cache."""
    path = tmp_path_factory.mktemp("cache") / "measures.sqlite"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTERP_CACHE", str(path))
        yield path


@pytest.fixture(scope="session")
def demo() -> interp.Subject:
    """The run that ships with the package."""
    return interp.load(DEMO, device="cpu", dtype="float64")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real checkpoints; use with the marker ``real_data``."""
    return DATA
