"""The contract of measures: what registers, what is refused, how options are read; every measure on every network."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from interp import HookedMLP, InterpError, MLPConfig, Subject
from interp._util.registry import Plugin
from interp.errors import MissingCapability, UnknownName
from interp.hooked import CPPNConfig, HookedCPPN
from interp.plugins.measure import choose, measure, measures, plain
from interp.snapshot import Snapshot
from interp.tasks import GroupComposition, ImageTask, SparseParity, ToyAddition
from tests.models import CONFIGS, make, subject
from tests.probes.measures.models import lstm

Only = Callable[..., None]


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Only:
    """Let these be the only measures; text is the error of one that could not be imported."""

    def these(*good: Any, **broken: str) -> None:
        group = {one.name: Plugin(one.name, "tests", value=one) for one in good}
        group |= {name: Plugin(name, "tests", error=error) for name, error in broken.items()}
        monkeypatch.setattr("interp.plugins.measure.load_group", lambda _: group)

    return these


@measure("ours", summary="for the tests")
def ours(
    snapshot: Snapshot, *, top: int = 8, share: float = 0.5, mode: Literal["a", "b"] = "a", layer: str | None = None,
    fast: bool = False, at: tuple[int, ...] | list[int] | None = (),
) -> dict[str, float]:  # fmt: skip
    """What it was asked."""
    return {"top": top, "share": share, "fast": fast, "steps": snapshot.step}


def no_snapshot() -> float: ...
def named_alone(*, snapshot: Snapshot) -> float: ...
def positional(snapshot: Snapshot, top: int = 1) -> float: ...
def without_default(snapshot: Snapshot, *, top: int) -> float: ...
def without_type(snapshot: Snapshot, *, top=1) -> float: ...
def rest(snapshot: Snapshot, **top: int) -> float: ...
def several(snapshot: Snapshot, *top: int) -> float: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [(no_snapshot, "takes no snapshot"), (named_alone, "first argument must be the snapshot"),
     (positional, "'top' must be keyword-only"), (without_default, "'top' must be keyword-only, with a type and a default"),
     (without_type, "'top' must be keyword-only, with a type"), (rest, "'top'"), (several, "'top'")],
)  # fmt: skip
def test_signatures(function: Callable[..., float], message: str) -> None:
    """A function that is not a measure is refused when it registers, and its option is named."""
    with pytest.raises(TypeError, match=f"measure 'bad'.*{message}"):
        measure("bad", summary="")(function)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"needs": ("wieghts",)}, "wieghts.*capabilities are weights"), ({"needs": "weights"}, "capabilities are"),
     ({"name": "a-b"}, "letters, digits and _"), ({"name": ""}, "letters"), ({"name": "../a"}, "letters"),
     ({"name": "a\n"}, "letters"), ({"every": 0}, "every must be at least 1")],
)  # fmt: skip
def test_registrations(arguments: dict[str, Any], message: str) -> None:
    """Needs, names and intervals that cannot be are refused at once."""
    with pytest.raises(TypeError, match=message):
        measure(**{"name": "bad", "summary": "", **arguments})


def test_registered_in_full() -> None:
    """Everything said at registration is kept, the docstring too."""
    one = measure("full", needs=["task"], summary="s", every=3, log=True, order=7)(ours.function)
    assert (one.name, one.needs, one.summary, one.every, one.log, one.order) == ("full", ("task",), "s", 3, True, 7)
    assert one.__doc__ == "What it was asked."
    assert [o.name for o in one.options] == ["top", "share", "mode", "layer", "fast", "at"]


def test_options_from_text() -> None:
    """Text becomes the option's type; what is not given has its default."""
    given = {"top": "5", "share": "1", "mode": "b", "layer": "none", "fast": "true", "at": "[1, 2]"}
    assert ours.parse(given) == {"top": 5, "share": 1.0, "mode": "b", "layer": None, "fast": True, "at": [1, 2]}
    assert isinstance(ours.parse({"share": 1})["share"], float)
    assert ours.parse({"layer": "blocks.*"})["layer"] == "blocks.*"
    assert ours.parse({}) == {"top": 8, "share": 0.5, "mode": "a", "layer": None, "fast": False, "at": ()}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("top", "2.5", "ours.top must be int, got '2.5'"), ("top", True, "must be int, got True"), ("top", None, "got None"),
     ("share", "much", "must be float"), ("mode", "c", "must be one of a, b"), ("fast", "1", "must be bool"),
     ("at", "3", "ours.at must be"), ("tpo", 1, "unknown option of ours 'tpo'; did you mean 'top'")],
)  # fmt: skip
def test_bad_options(option: str, value: Any, message: str) -> None:
    """Wrong types and unknown names, with both sides named."""
    with pytest.raises(InterpError, match=message):
        ours.parse({option: value})


@pytest.mark.parametrize("kind", [Optional[int], Literal["a", "b"] | None])  # noqa: UP045
def test_optional_of_typing(kind: Any) -> None:
    """A stranger may write Optional[int]; and ``Literal[..] | None`` is one."""

    def function(snapshot: Snapshot, *, top=None) -> float: ...  # pyright: ignore

    function.__annotations__["top"] = kind
    one = measure("optional", summary="")(function)
    good = "b" if "Literal" in str(kind) else 3
    assert [one.parse({"top": value})["top"] for value in (None, "none", good)] == [None, None, good]
    with pytest.raises(InterpError, match="optional.top must be"):
        one.parse({"top": 2.5})


def test_names(only: Only) -> None:
    """One, several once each in the order of the report, all; a misspelt one suggests the nearest."""
    first = measure("first", summary="", order=1)(lambda snapshot: 1.0)
    only(ours, first, gone="no such module")
    assert list(choose(None)) == ["first", "ours"]
    assert list(choose(["ours", "first", "ours"])) == ["first", "ours"]
    with pytest.raises(UnknownName, match="unknown measure 'frist'; did you mean 'first'"):
        choose(["frist"])
    with pytest.raises(InterpError, match="measure gone: no such module"):
        choose(["gone"])
    assert measures()[1] == {"gone": "no such module"}


def test_entry_points_that_are_no_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function without the decorator, and a measure under another name: both are told."""
    group = {"plain": Plugin("plain", "theirs", value=len), "other": Plugin("other", "theirs", value=ours)}
    monkeypatch.setattr("interp.plugins.measure.load_group", lambda _: group)
    good, broken = measures()
    assert (good, set(broken)) == ({}, {"plain", "other"})
    assert "theirs is not a measure of that name" in broken["other"]


def test_ours_are_registered() -> None:
    """All found through entry points, none broken, loss first."""
    good, broken = measures()
    assert not broken
    assert list(good)[:3] == ["loss", "accuracy", "weight_norm"]
    assert {"restricted_loss", "local_complexity", "rqi", "lambda_3", "mode_power"} <= set(good)


def test_needs_of_a_call() -> None:
    """A measure called without what it needs says so by its name; a need of the function itself too."""
    with pytest.raises(InterpError, match="accuracy: needs a task, and none is known"):
        choose(["accuracy"])["accuracy"](Subject("bare", make("plain")))
    with pytest.raises(MissingCapability, match="its loss is bce"):
        choose(["softmax_collapse"])["softmax_collapse"](KINDS["parity bce"]())


def test_an_anchor() -> None:
    """It settles what was left None, never what was given, and is not asked where nothing is open."""
    asked = []

    def function(snapshot: Snapshot, *, k: int | None = None, j: int = 0) -> dict[str, float]:
        return {"k": k or 0, "j": j}

    one = measure("anchored", summary="")(function)

    @one.anchored
    def anchor(last: Snapshot) -> dict[str, Any]:
        asked.append(last.step)
        return {"k": 4, "j": 9}

    bare = subject("plain")
    assert one(bare) == {"k": 4.0, "j": 0.0}
    assert one(bare, k=2) == {"k": 2.0, "j": 0.0}
    assert len(asked) == 1


@pytest.mark.parametrize(("found", "expected"), [(2, {"": 2.0}), ({3: np.float32(0.5)}, {"3": 0.5}), ({}, {})])
def test_values(found: Any, expected: dict[str, float]) -> None:
    """A number, or numbers by where, as floats by text."""
    values = measure("v", summary="")(lambda snapshot: found)(subject("plain"))
    assert values == expected
    assert all(type(v) is float for v in values.values())


@given(st.dictionaries(st.text(), st.floats()))
def test_plain_round_trip(values: dict[str, float]) -> None:
    """Through strict JSON and back, every float is itself, NaN and infinities included."""
    back = {w: float(v) for w, v in json.loads(json.dumps(plain(values), allow_nan=False)).items()}
    assert back.keys() == values.keys()
    assert all(b == v or (math.isnan(b) and math.isnan(v)) for b, v in zip(back.values(), values.values(), strict=True))


def of_mlp(config: MLPConfig, task: Any) -> Subject:
    model = HookedMLP(config).double().init_weights(0, 2.0)
    return Subject(task.name, model, task.fit(model))


KINDS: dict[str, Callable[[], Subject]] = {
    **{name: lambda name=name: subject(name) for name in CONFIGS},
    "no task": lambda: Subject("no task", make("two layers")),
    "bare lstm": lambda: Subject("lstm", make("lstm")),
    "bare cppn": lambda: Subject("cppn", HookedCPPN(CPPNConfig("2;cache:2,sin:1,gaussian:1")).init_weights(0)),
    **{f"parity {loss}": lambda loss=loss: of_mlp(MLPConfig((5,), 1, d_in=6), SparseParity(6, 2, 20, 10, loss=loss))
       for loss in ("hinge", "bce")},
    "product of S_3": lambda: of_mlp(MLPConfig((9,), 6, d_vocab=6, d_embed=4, combine="product"), GroupComposition("S_3")),
    "toy addition": lambda: of_mlp(MLPConfig((6,), 30, d_vocab=5, d_embed=3, combine="sum"), ToyAddition(5)),
    "no hidden layer": lambda: of_mlp(MLPConfig((), 6, d_vocab=6, d_embed=4), GroupComposition("S_3")),
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)).save(folder / "a.png")
    return folder


def image(folder: Path) -> Subject:
    task = ImageTask(str(folder / "a.png"), size=0)
    model = HookedCPPN(CPPNConfig("2;cache:2,sin:1,gaussian:1")).double().init_weights(0)
    return Subject("image", model, task.fit(model))


@pytest.mark.parametrize("kind", [*KINDS, "lstm", "image"])
def test_every_measure_on_every_network(kind: str, files: Path) -> None:
    """Finite floats, the same from a Subject as from a Snapshot, bit for bit; or a sentence that says what is missing."""
    one = {"lstm": lstm, "image": image}[kind](files) if kind in ("lstm", "image") else KINDS[kind]()
    shared, done = Snapshot(one), 0
    for name, each in measures()[0].items():
        try:
            values = each(one)
        except InterpError as reason:
            with pytest.raises(type(reason), match=r"\S+( \S+){4,}"):
                each(shared)
            continue
        done += 1
        assert all(type(v) is float and math.isfinite(v) for v in values.values()), (name, values)
        assert each(shared) == values, name
    assert done >= 3  # norms and entropies are of any network
