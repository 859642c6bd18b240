"""Entry points: what hides ours is noticed, strangers' values are checked, and what cannot be used says why."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from interp._util.registry import Plugin, Registered, load_group
from interp.errors import InterpError, UnknownName
from tests.conftest import ROOT

LISTED = """
from interp.errors import InterpError
from interp.plugins.analysis import analyses
try:
    good, broken = analyses()
    print("good", len(good), "broken", len(broken))
except InterpError as error:
    print("InterpError:", error)
"""

# the same refusal without the import of torch, which is the slow part of a process
REFUSED = """
from interp._util.registry import load_group
from interp.errors import InterpError
try:
    print("loaded", len(load_group("interp.analyses")))
except InterpError as error:
    print("InterpError:", error)
"""

# what stands in the working directory: a way to make it, and the place that is named
HIDING: dict[str, tuple[Callable[[Path], None], str]] = {
    "probes": (lambda folder: package(folder / "probes"), "probes"),
    "circuits": (lambda folder: package(folder / "circuits"), "circuits"),
    "probes.py": (lambda folder: (folder / "probes.py").write_text("x = 1\n"), "probes.py"),  # type: ignore[dict-item]
    "circuits.py": (lambda folder: (folder / "circuits.py").write_text("x = 1\n"), "circuits.py"),  # type: ignore[dict-item]
}


def package(folder: Path) -> None:
    folder.mkdir()
    (folder / "__init__.py").write_text("")


def listed(folder: Path, *program: str) -> str:
    """What a process prints that is started in a folder, which Python looks into first."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    argv = [sys.executable, *(program or ("-c", LISTED))]
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("row", HIDING)
def test_what_hides_a_package_of_ours_is_named(tmp_path: Path, row: str) -> None:
    """One sentence instead of two dozen broken analyses: what hides what, and what to do."""
    make, place = HIDING[row]
    make(tmp_path)
    assert listed(tmp_path, "-c", REFUSED) == (
        f"InterpError: {tmp_path.resolve() / place} hides the suite's package '{row.removesuffix('.py')}', so its analyses "
        "cannot be loaded: rename it, or start from another folder"
    )


def test_a_folder_without_init_hides_nothing(tmp_path: Path) -> None:
    """Python prefers our packages to a plain folder of data with the same name."""
    for name in ("probes", "circuits"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.csv").write_text("1\n")
    good, broken = listed(tmp_path).split()[1::2]
    assert int(good) > 20
    assert int(broken) == 0


def test_a_script_that_is_called_probes(tmp_path: Path) -> None:
    """It hides the package by being run: Python puts its folder first."""
    (tmp_path / "probes.py").write_text(REFUSED)
    assert listed(tmp_path, "probes.py").startswith(f"InterpError: {tmp_path.resolve() / 'probes.py'} hides")


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Registered[type]:
    """A group of classes whose name must be their own, with one good, one that failed and one of another name."""
    plugins = {
        "int": Plugin("int", "good-package", value=int),
        "gone": Plugin("gone", "sad-package", error="no module named x"),
        "str": Plugin("str", "odd-package", value=float),
    }
    monkeypatch.setattr("interp._util.registry.load_group", lambda _: plugins)
    return Registered("g", "thing", lambda name, value: None if value.__name__ == name else f"is {value.__name__}")


def test_only_what_can_be_used_is_in_the_mapping(group: Registered[type]) -> None:
    assert dict(group) == {"int": int}
    assert len(group) == 1
    assert "gone" not in group
    assert ["int"] not in group  # not hashable, and not a name
    assert group.get("str") is None
    assert set(group.broken()) == {"gone", "str"}


def test_what_cannot_be_used_says_why(group: Registered[type]) -> None:
    """Whose it is and what is wrong; an unknown name gets the nearest, and where it came from."""
    assert group.find("int") is int
    assert group.owner("int") == "good-package"
    assert group.owner("nothing") is None
    with pytest.raises(InterpError, match="thing 'gone' of sad-package cannot be used: no module named x"):
        group.find("gone")
    with pytest.raises(
        InterpError, match="thing 'str' of odd-package cannot be used: odd-package registers it, but is float"
    ):
        group.find("str")
    with pytest.raises(UnknownName, match="unknown thing 'inn'; did you mean 'int'") as raised:
        group.find("inn", "lost-package")
    assert "it came from lost-package, which is not installed here" in str(raised.value)


def test_registering_for_a_process(group: Registered[type]) -> None:
    """A later class under the same name replaces it, as when a notebook's cell runs again; installed names are kept."""
    first, second = (type("Mine", (), {}) for _ in range(2))
    group.add("Mine", first)
    group.add("Mine", second)
    assert group["Mine"] is second
    assert group.owner("Mine") is None
    assert list(group) == ["int", "Mine"]
    with pytest.raises(InterpError, match="'int' is registered already, by good-package"):
        group.add("int", int)
    with pytest.raises(InterpError, match="'other' cannot be registered: is Mine"):
        group.add("other", second)


def test_groups_are_read_once() -> None:
    assert load_group("interp.losses") is load_group("interp.losses")
