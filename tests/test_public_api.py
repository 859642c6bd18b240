"""The front door: every name that the three packages export, as a notebook, an editor and a careless user meet it."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import pydoc
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import circuits
import interp
import probes
from probes.basis import Basis
from tests.conftest import ROOT

PACKAGES: tuple[ModuleType, ...] = (interp, probes, circuits)
EXPORTS = [(package, name) for package in PACKAGES for name in dir(package)]
OURS = ("interp", "probes", "circuits")


def found(kind: Any) -> list[tuple[str, Any]]:
    """Exports of a kind, by their full names."""
    named = [(f"{package.__name__}.{name}", getattr(package, name)) for package, name in EXPORTS]
    return [(name, value) for name, value in named if kind(value)]


FUNCTIONS = found(inspect.isfunction)
DOCUMENTED = found(lambda v: inspect.isfunction(v) or inspect.isclass(v))


def test_every_export_is_visible() -> None:
    """`dir`, which is what completion in a notebook shows, and ``__all__``."""
    for package in PACKAGES:
        assert dir(package) == sorted(package.__all__)
        assert len(dir(package)) > 15


@pytest.mark.slow
def test_an_export_is_the_same_the_second_time() -> None:
    """Whatever has been imported since: no export shares its name with a sub-module that is something else."""
    code = """
    import importlib, pkgutil, interp, probes, circuits
    for package in (interp, probes, circuits):
        first = {name: getattr(package, name) for name in dir(package)}
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
        for name, value in first.items():
            assert getattr(package, name) is value, (package.__name__, name, value, getattr(package, name))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_no_sub_module_has_the_name_of_an_export() -> None:
    """In the rooms, too: what a package hands on is never hidden by one of its files."""
    for package in PACKAGES:
        names = [
            package.__name__,
            *(m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.") if m.ispkg),
        ]
        for name in names:
            room = importlib.import_module(name)
            inside = {m.name for m in pkgutil.iter_modules(room.__path__)}
            given = {n for n in getattr(room, "__all__", ()) if not isinstance(getattr(room, n), ModuleType)}
            assert not given & inside, name


@pytest.mark.parametrize(("name", "value"), DOCUMENTED, ids=[name for name, _ in DOCUMENTED])
def test_help(name: str, value: Any) -> None:
    """It has a docstring that stands on its own, with every argument of a function in it."""
    text = pydoc.render_doc(value, renderer=pydoc.plaintext)
    doc = inspect.getdoc(value) or ""
    assert doc in re.sub(r"(?m)^ \|  |^ {4}", "", text) or doc.splitlines()[0] in text
    assert not re.search(r"(?i)arguments and errors as|\bas `\w+`;|METHODS [A-Z]\b", doc), name
    if not inspect.isfunction(value):
        return
    for parameter in inspect.signature(value).parameters.values():
        assert re.search(rf"\b{parameter.name}\b", doc), f"{name}: {parameter.name} is not in its docstring"


@pytest.mark.parametrize(("name", "value"), FUNCTIONS, ids=[name for name, _ in FUNCTIONS])
def test_docstring_sections(name: str, value: Any) -> None:
    """Arguments and what is returned, for whoever reads no code."""
    doc = inspect.getdoc(value) or ""
    if inspect.signature(value).parameters:
        assert "Args:" in doc, name
    if inspect.signature(value).return_annotation not in (None, "None"):
        assert "Returns:" in doc or "Yields:" in doc, name


@pytest.fixture(scope="session")
def types(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a type checker makes of every export."""
    folder = tmp_path_factory.mktemp("types")
    lines = [f"import {name}" for name in OURS] + [f"reveal_type({p.__name__}.{n})" for p, n in EXPORTS]
    (folder / "exports.py").write_text("\n".join(lines))
    words = ["-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "exports.py"]
    (folder / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)]}))
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=300, cwd=folder)
    found = json.loads(done.stdout)["generalDiagnostics"]
    errors = [d["message"] for d in found if d["severity"] == "error"]
    assert errors == []
    revealed = [re.fullmatch(r'Type of "([\w.]+)" is "(.*)"', d["message"], re.DOTALL) for d in found]
    return {match[1]: match[2] for match in revealed if match}


def test_types(types: dict[str, str]) -> None:
    """None is Any, and none of a function's arguments or results is unknown."""
    assert set(types) == {f"{package.__name__}.{name}" for package, name in EXPORTS}
    bad = {
        name: kind
        for name, kind in types.items()
        if kind in ("Any", "Unknown") or re.search(r"\bUnknown\b", kind.split("->")[-1])
    }
    assert bad == {}
    assert types["circuits.ablate"].startswith("(")


# What each function is given beside its first argument; what takes none, or takes anything, is not here.
CLEAN, CORRUPTED = torch.tensor([[1, 2, 5]]), torch.tensor([[2, 2, 5]])
WITH: dict[str, tuple[Any, ...]] = {
    "interp.load": (), "interp.inspect": (), "interp.save": (Path("x.safetensors"),), "interp.capture": (CLEAN, "*"),
    "interp.resolve_sites": ("*",), "interp.analyze": (), "interp.compare": (), "interp.wrap": (),
    "interp.wrap_file": (torch.nn.Identity, torch.ones(2, 2)), "interp.make_task": (),
    "interp.train": (), "interp.resume": (), "interp.record": (None, Path("x")), "interp.score": (CLEAN,), "probes.progress": (),
    "probes.similarity_map": (), "probes.similarity_over_training": (),
    "probes.changes_by_network": (), "probes.lead_over_seeds": (),
    "circuits.ablate": (), "circuits.patch": (CLEAN, CORRUPTED, "*"), "circuits.attribute": (CLEAN, CORRUPTED),
    "circuits.ablate_pairs": (), "circuits.ablation_intervals": (), "circuits.circuits_over_training": (),
    "circuits.factor_circuits": (), "circuits.discover": (), "circuits.necessity": (None,), "circuits.applied": ([],),
    "circuits.freeze": (CLEAN, "*"),
    "circuits.intervene": ([],), "circuits.prune": (), "circuits.reduce": (1,), "circuits.rank_curve": (),
    "circuits.component_curve": ("*",), "circuits.drop_links": (), "circuits.units_in_use": (),
    "circuits.restricted_loss": (), "circuits.excluded_loss": (), "circuits.by_frequency": (),
    "circuits.single_entries": (), "circuits.random_directions": (), "circuits.sweep": ([],),
    "circuits.matched_steps": ([],), "circuits.loss_sweep": ([],), "circuits.fracture": (), "circuits.necessary_from": (),
    "circuits.eap": (), "circuits.eap_ig": (), "circuits.subnetwork_probing": (), "circuits.edge_pruning": (),
    "circuits.atp_star": (CLEAN, CORRUPTED), "circuits.integrated_gradients": (), "circuits.optimal_ablation": (),
    "circuits.causal_scrubbing": ({},), "circuits.das": ("*", CLEAN, CORRUPTED, torch.tensor([0])),
    "interp.every": (), "interp.log_spaced": (100,), "interp.gradients": (CLEAN, torch.sum, "*"),
    "circuits.edge_effects": (), "circuits.benchmark": (),
    "interp.register_loss": (), "interp.register_task": (), "interp.seeds": (),
    "circuits.logit_lens": (), "circuits.tuned_lens": (), "circuits.logit_attribution": (), "circuits.composition_scores": (),
    "circuits.virtual_weights": ("embed", "unembed"), "circuits.effective_weights": ("embed -> unembed",),
    "circuits.qk_circuit": (), "circuits.ov_circuit": (), "circuits.copying_score": (), "circuits.head_detectors": (),
    "probes.cka": (), "probes.svcca": (), "probes.pwcca": (), "probes.mean_cca": (), "probes.procrustes_angle": (),
    "probes.subspace_angles": (), "probes.shared_rank": (), "probes.match_units": (), "probes.soft_matching": (),
    "probes.rsa": (torch.eye(3),), "probes.mutual_knn": (torch.eye(3),),
    "circuits.match_weights": (None,), "circuits.linear_connectivity": (None,), "circuits.barriers_over_training": (),
    "circuits.stitch": (None,), "circuits.interchange": (None,), "circuits.shared_features": (None,), "circuits.compare": (None,),
}  # fmt: skip
BY_KEYWORD = ("circuits.path_patch", "circuits.project", "circuits.acdc", "interp.refine", "interp.verify")
WRONG = {"a list": [1.5, {}], "an array": np.zeros((2, 2)), "a class": dict, "None": None, "a set": {1.5}}


def call(name: str, first: Any) -> Any:
    package, _, attribute = name.partition(".")
    function = getattr({"interp": interp, "probes": probes, "circuits": circuits}[package], attribute)
    if name == "circuits.path_patch":
        return function(first, CLEAN, CORRUPTED, sender="*", receivers=["*"])
    if name == "circuits.project":
        return function(first, Basis.neurons(2), n_directions=1)
    if name == "circuits.acdc":
        return function(first, threshold=0.1)
    if name == "interp.refine":
        return function(first, axes={"lr": (0, 1)})
    if name == "interp.verify":
        return function(".", first)  # without a folder it verifies the demo
    made = function(first, *WITH[name])
    return made.__enter__() if hasattr(made, "__enter__") else made


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("name", [*WITH, *BY_KEYWORD])
def test_wrong_kinds(name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence of ours that says what is wanted, never an AttributeError of something deep inside."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(interp.InterpError) as caught:
        call(name, WRONG[kind])
    assert len(str(caught.value)) > 20


def test_every_function_is_tried_with_wrong_kinds() -> None:
    """What is not tried here is a decorator, takes no arguments, or takes whatever it is given."""
    rest = {name for name, _ in FUNCTIONS} - {*WITH, *BY_KEYWORD}
    assert rest == {"interp.analysis", "interp.joint_analysis", "interp.measure", "interp.quantity", "interp.grid"}
