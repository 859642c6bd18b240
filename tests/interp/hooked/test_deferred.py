"""TransformerLens is imported lightly, and is nevertheless the one and whole TransformerLens of everybody else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

HEAVY = ("transformers", "datasets", "wandb", "huggingface_hub")
OURS = "from interp.hooked.hook_point import HookPoint, HookedRootModule, LensHookPoint\n"
SAME = """
assert transformer_lens.HookedRootModule is HookedRootModule
assert transformer_lens.hook_points.HookPoint is LensHookPoint
assert isinstance(interp.HookedMLP, type) and issubclass(interp.HookedMLP, transformer_lens.HookedRootModule)
"""
USES = {
    "ours only": f"{OURS}assert not set({HEAVY}) & set(sys.modules)\nassert issubclass(interp.HookedMLP, HookedRootModule)",
    "ours first": f"{OURS}import transformer_lens\n{SAME}",
    "theirs first": f"import transformer_lens\n{OURS}{SAME}",
    "a name of theirs": f"{OURS}from transformer_lens import ActivationCache\nimport transformer_lens\n{SAME}",
    "a module of theirs": (
        f"{OURS}from transformer_lens.model_bridge import TransformerBridge\nimport transformer_lens\n{SAME}"
        "assert transformer_lens.TransformerBridge is TransformerBridge"
    ),
    "a module deep in theirs": (
        f"{OURS}import transformer_lens.utilities.lm_utils\nimport transformer_lens.utilities as u\n{SAME}"
        "assert u.get_corner is u.tensors.get_corner and u.Slice is u.slice.Slice and 'lm_accuracy' in dir(u)"
    ),
    "the module that a class hides": (
        f"{OURS}from transformer_lens.HookedRootModule import HookedRootModule as again\nassert again is HookedRootModule\n"
        f"import transformer_lens\n{SAME}"
    ),
    "its contents listed": (
        f"{OURS}import transformer_lens\nassert 'FactoredMatrix' in dir(transformer_lens)\n"
        f"assert 'hook_points' in [m.name for m in __import__('pkgutil').iter_modules(transformer_lens.__path__)]\n{SAME}"
        "assert transformer_lens.__spec__.loader.get_source('transformer_lens') and type(transformer_lens) is type(sys)"
    ),
    "what is not there": (
        f"{OURS}import transformer_lens\nassert not hasattr(transformer_lens, '__wrapped__')\n"
        "assert not hasattr(transformer_lens, 'nothing_of_the_kind')\n" + SAME
    ),
}


def run(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    """A fresh process, since a package is imported once."""
    start = f"import sys; sys.path[:0] = {[*map(str, path), str(ROOT)]}; import interp\n"
    return subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("use", ["ours only", pytest.param("a module of theirs", marks=pytest.mark.slow)])
def test_there_is_one_transformer_lens(use: str) -> None:
    done = run(USES[use])
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("use", set(USES) - {"ours only", "a module of theirs"})
def test_there_is_one_transformer_lens_whoever_imports_it_and_when(use: str) -> None:
    done = run(USES[use])
    assert done.returncode == 0, done.stderr


PACKAGE = {
    "__init__.py": "from .small import thing\nfrom .late import other\nfrom . import small\nlate = 'hides the module'\n",
    "small.py": "import sys\nfrom toy.inner import helper\nthing = [helper]\n",
    "late.py": "import sys\nsys.ran.append('late')\nother = 1\n",
    "inner/__init__.py": "from toy.late import other\nfrom .helpers import helper\n",
    "inner/further.py": "",
    "inner/helpers.py": "def helper(): pass\n",
}
TOY = "sys.ran = []\nfrom interp.hooked.deferred import import_lightly\n"


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    for name, text in PACKAGE.items():
        (tmp_path / "toy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "toy" / name).write_text(text)
    return tmp_path


@pytest.mark.slow  # each in a process of its own
@pytest.mark.parametrize(
    "code",
    [
        "assert import_lightly('toy', ['toy.small']) and not sys.ran\n"
        "import toy, toy.small\nthing = toy.small.thing\nassert not sys.ran\n"
        "assert toy.other == 1 and toy.thing is thing and toy.late == 'hides the module' and sys.ran == ['late']\n"
        "import toy.inner\nassert toy.inner.helper is thing[0] and sys.ran == ['late']",
        "import toy\nassert not import_lightly('toy', ['toy.small']) and sys.ran == ['late']",
        "assert not import_lightly('toy', ['toy.no_such']) and 'toy' not in sys.modules\nimport toy\nassert toy.other == 1",
        "assert import_lightly('toy', ['toy.small'])\nimport toy.inner.further\nassert sys.ran == ['late']",
    ],
    ids=["in place", "already imported", "laid out differently", "a module further down"],
)
def test_a_package_waits_and_then_is_what_a_plain_import_makes(toy: Path, code: str) -> None:
    done = run(TOY + code, toy)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_an_init_that_fails_fails_again(toy: Path) -> None:
    (toy / "toy" / "__init__.py").write_text("from .small import thing\nfrom .absent import other\n")
    asks = "try:\n    toy.other\nexcept ModuleNotFoundError as error:\n    print(error)\n"
    done = run(TOY + f"import_lightly('toy', ['toy.small'])\nimport toy\n{asks}{asks}", toy)
    assert done.stdout == "No module named 'toy.absent'\n" * 2, done.stderr
