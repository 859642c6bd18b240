"""Tasks and losses of somebody else's: checked when they are registered, trained, loaded, and named where they are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

import interp
from interp import InterpError, Task
from interp._util.registry import load_group
from interp.errors import TaskMismatch, UnknownName
from interp.hooked import HookedCPPN, LSTMConfig, MLPConfig, TransformerConfig, build
from interp.tasks import (
    LOSSES,
    TASKS,
    Loss,
    losses_of,
    make_loss,
    register_loss,
    register_task,
    shuffled,
    task_from_dict,
    task_to_dict,
)
from interp.training.planning import make_plan
from interp.training.recipes import recipe_for


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test registers is gone after it."""
    yield
    TASKS._added.clear()
    LOSSES._added.clear()


@dataclass(frozen=True)
class First(Task):
    """Which of ``n`` symbols stands first in a word of two: a task without a recipe, a line of HELP or a split of its own."""

    name: ClassVar[str] = "first"
    summary: ClassVar[str] = "the first symbol of a word"
    LOSSES: ClassVar[tuple[str, ...]] = ("cross_entropy", "mse")
    complete: ClassVar[bool] = True

    n: int = 3
    seed: int = 0
    loss: str = "cross_entropy"

    @property
    def n_outputs(self) -> int:
        return self.n

    def make_inputs(self) -> Tensor:
        return torch.cartesian_prod(torch.arange(self.n), torch.arange(self.n))

    def make_labels(self) -> Tensor:
        return self.inputs[:, 0]

    def make_split(self) -> tuple[Tensor, Tensor]:
        return shuffled(self.n**2, 0.7, self.seed)


@dataclass(frozen=True)
class FirstAtEnd(First):
    """The same for a transformer: the answer is read at the last position."""

    name: ClassVar[str] = "first_at_end"
    readout: ClassVar[int] = -1  # pyright: ignore[reportIncompatibleVariableOverride]


class Cubic(Loss):
    """The cube of one minus the label's own score, a loss of somebody's own for addition modulo p."""

    name = "cubic"
    logits = True
    tasks = ("modular",)

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return (1 - outputs.gather(-1, labels.expand(outputs.shape[:-1]).unsqueeze(-1)).squeeze(-1)).abs() ** 3

    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return outputs.argmax(-1) == labels


def test_a_task_without_a_recipe_is_trained_and_loaded(tmp_path: Path) -> None:
    """On the network that is named, or by the general recipe; the run knows its task again by name."""
    register_task(First)
    run = interp.train("first:n=4", model="mlp:hidden=16", steps=200, lr=0.02, out=tmp_path / "run", device="cpu")
    subject = interp.load(tmp_path / "run", device="cpu")
    assert subject.task == First(n=4)
    assert subject.model.config == MLPConfig((16,), 4, d_vocab=4, d_embed=16)
    correct = subject.require_task().correct(subject.logits())
    assert correct[subject.require_task().train_indices].all()  # a symbol that it has seen first is learnt
    assert run.metrics["train_accuracy"].iloc[-1] == 1
    assert interp.analyze(subject, ["performance"])["performance"].status == "ok"
    plan = make_plan(First(n=4))
    assert (plan.model.to_dict()["hidden"], plan.steps) == ((64,), 2000)
    assert "general recipe" in recipe_for(First).source


def test_a_task_brings_its_own_recipes() -> None:
    """The first is the default; what it does not say is as usual, and a user's own words come first."""

    @register_task
    @dataclass(frozen=True)
    class WithRecipes(First):
        name: ClassVar[str] = "with_recipes"
        recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
            "mlp": {"model": {"hidden": (7,), "d_embed": 2}, "optimizer": {"lr": 0.5}, "plan": {"steps": 11}},
            "lstm": {"model": {"d_embed": 2, "d_hidden": 3, "n_layers": 1}, "plan": {"steps": 12}},
        }

    task = WithRecipes()
    plan = make_plan(task)
    assert (plan.model, plan.steps) == (MLPConfig((7,), 3, d_vocab=3, d_embed=2), 11)
    assert (plan.optimizer.name, plan.optimizer.lr) == ("adamw", 0.5)
    assert make_plan(task, "mlp:hidden=5", lr=0.1).optimizer.lr == 0.1
    assert make_plan(task, "lstm").steps == 12


@pytest.mark.parametrize("n", [3, 5])
def test_the_shape_of_a_network(n: int) -> None:
    """Inputs and outputs follow from the examples, by kind; a network of that shape runs on them."""
    assert First(n).shape("mlp") == {"d_vocab": n, "n_operands": 2, "d_out": n}
    assert First(n).shape("lstm") == {"d_vocab": n, "n_ctx": 2, "d_out": n}
    assert FirstAtEnd(n).shape("transformer") == {"d_vocab": n, "d_vocab_out": n, "n_ctx": 2}
    with pytest.raises(
        TaskMismatch, match="transformer cannot take the inputs of the task first; kinds that can: mlp, lstm"
    ):
        First(n).shape("transformer")
    with pytest.raises(TaskMismatch, match="kinds that can: transformer"):
        FirstAtEnd(n).shape("mlp")
    models = (
        (First(n), MLPConfig((4,), d_embed=3, **First(n).shape("mlp"))),
        (First(n), LSTMConfig(d_embed=3, d_hidden=4, n_layers=1, **First(n).shape("lstm"))),
        (FirstAtEnd(n), TransformerConfig(
            n_layers=1, d_model=8, n_heads=2, d_head=4, d_mlp=8, **FirstAtEnd(n).shape("transformer")
        )),
    )  # fmt: skip
    for task, config in models:
        model = build(config).init_weights(0)
        assert task.read(model(task.inputs)).shape == (n * n, n)
        assert task.fit(model) is task


def test_shapes_of_ours() -> None:
    """As the recipes have always made them."""
    assert interp.ModularArithmetic(5).shape("transformer") == {"d_vocab": 6, "d_vocab_out": 5, "n_ctx": 3}
    assert interp.ModularArithmetic(5).shape("mlp") == {"d_vocab": 5, "d_out": 5}
    assert interp.SparseParity(n=6).shape("mlp") == {"d_in": 6, "d_out": 1}
    assert interp.SparseParity(n=4, k=2).shape("cppn") == {}
    assert interp.ToyAddition(4).shape("mlp") == {"d_vocab": 4, "d_out": 30}
    for kind in ("cppn", "lstm"):
        with pytest.raises(TaskMismatch, match="kinds that can: transformer, mlp"):
            interp.ModularArithmetic(5).shape(kind)


def test_a_model_that_does_not_fit() -> None:
    """Each field that differs is named; a network of a kind that is not ours is not judged."""
    model = build(MLPConfig((4,), 9, d_vocab=8, d_embed=3)).init_weights(0)
    with pytest.raises(TaskMismatch, match="d_vocab is 8, the task needs 3; the model's d_out is 9, the task needs 3"):
        First(3).fit(model)
    assert isinstance(First(3).fit(interp.wrap(torch.nn.Linear(2, 3), torch.ones(4, 2))), First)
    with pytest.raises(TaskMismatch, match="a cppn cannot take"):
        First(3).fit(HookedCPPN(interp.CPPNConfig("2;sin:2")))


def test_a_task_that_is_not_registered(tmp_path: Path) -> None:
    """Its run could not be loaded again, which is said before anything is trained or written."""
    with pytest.raises(
        InterpError, match="the task 'first' is not registered.*decorate First with @interp.tasks.register_task"
    ):
        interp.train(First(), steps=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_stored_task_names_where_it_came_from() -> None:
    """The package; of a class registered by hand the module. Ours need no such word."""
    assert "package" not in task_to_dict(interp.ModularArithmetic(5))
    register_task(First)
    stored = task_to_dict(First(n=4))
    assert stored == {"name": "first", "n": 4, "seed": 0, "loss": "cross_entropy", "package": f"the module {__name__}"}
    assert task_from_dict(stored) == First(n=4)
    TASKS._added.clear()
    with pytest.raises(
        UnknownName, match=f"unknown task 'first'.*it came from the module {__name__}.*import the module"
    ):
        task_from_dict(stored)


def broken(**changes: Any) -> Callable[[], Any]:
    """A task with something changed or missing."""
    return lambda: dataclass(frozen=True)(type("Broken", (First,), {"name": "broken", **changes}))


# what is wrong: how to make it, and a part of the message
FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "no class": (lambda: First(), "a task is a subclass of interp.Task"),
    "another class": (lambda: dict, "a task is a subclass of interp.Task"),
    "no name": (broken(name=""), "Broken has no name"),
    "no losses": (broken(LOSSES=()), "Broken has no LOSSES"),
    "no dataclass": (
        lambda: type("Broken", (First,), {"name": "broken"}),
        r"needs the decorator @dataclass\(frozen=True\)",
    ),
    "no inputs": (
        lambda: dataclass(frozen=True)(type("Broken", (Task,), {"name": "b", "summary": "s", "LOSSES": ("mse",)})),
        "does not implement make_inputs, make_labels, make_split, n_outputs",
    ),
    "a name of ours": (broken(name="modular"), "'modular' is registered already, by interp-suite: choose another name"),
}


@pytest.mark.parametrize("row", FAULTS)
def test_what_is_no_task_is_refused_at_once(row: str) -> None:
    make, message = FAULTS[row]
    with pytest.raises(InterpError, match=message):
        register_task(make())


def test_a_loss_of_ones_own(tmp_path: Path) -> None:
    """Registered, it trains one of our tasks that it names, and no other; the run loads again."""
    register_loss(Cubic)
    assert isinstance(make_loss("cubic", 3), Cubic)
    assert losses_of(interp.ModularArithmetic) == ("cross_entropy", "mse", "vectors", "stablemax", "cubic")
    assert losses_of(interp.ToyAddition) == (*interp.ToyAddition.LOSSES, "stablemax")  # a variant of cross-entropy
    assert losses_of(interp.SparseParity) == interp.SparseParity.LOSSES
    interp.train("modular:p=3,loss=cubic", steps=2, out=tmp_path / "run", device="cpu")
    subject = interp.load(tmp_path / "run", device="cpu")
    outputs = subject.logits()
    task = subject.require_task()
    by_hand = [
        (1 - float(row[label])) ** 2 * abs(1 - float(row[label]))
        for row, label in zip(outputs, task.labels, strict=True)
    ]
    assert task.losses(outputs).tolist() == pytest.approx(by_hand)
    with pytest.raises(UnknownName, match="unknown loss for addition 'cubic'"):
        interp.ToyAddition(loss="cubic")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: First, "a loss is a subclass of interp.tasks.Loss"),
        (lambda: type("Half", (Loss,), {"name": "half"}), "does not implement __call__, correct"),
        (lambda: type("Twice", (Cubic,), {"name": "mse"}), "'mse' is registered already, by interp-suite"),
    ],
)
def test_what_is_no_loss_is_refused_at_once(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InterpError, match=message):
        register_loss(make())


@pytest.mark.parametrize(("group", "registry"), [("interp.tasks", TASKS), ("interp.losses", LOSSES)])
def test_ours_are_registered_as_a_strangers_are(group: str, registry: Mapping[str, Any]) -> None:
    """All load, none is left out, and each is under its own name."""
    assert load_group(group).keys() == registry.keys()
    assert all(value.name == name for name, value in registry.items())
