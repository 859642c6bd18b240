"""One clear error that names what is wrong, and a model that is left as it was found, also by Ctrl-C."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import interp
from circuits import Mean, Zero, ablate, applied, attribute, discover, patch, path_patch
from circuits.interventions.apply import NoEffect
from circuits.interventions.kinds import Ablate, Add, Freeze, Keep, Patch, Remove, Scale
from interp import HookedMLP, InterpError, MLPConfig, Site, Subject
from interp.errors import UnknownSite
from probes.basis import Basis
from tests.circuits.networks import KINDS, assert_untouched, pair, score, subject, weights_of

PAIRED: dict[str, Callable[..., Any]] = {
    "patch": patch,
    "attribute": attribute,
    "path_patch": lambda one, clean, corrupted, site, **options: path_patch(
        one,
        clean,
        corrupted,
        sender=site,
        receivers=list(one.model.hook_dict)[-1:],
        through=list(one.model.hook_dict),
        **options,
    ),
}
DISCOVERABLE = [k for k in KINDS if k not in ("lstm", "conv")]  # those that have neurons
EVERY = [(kind, name) for name in ("ablate", *PAIRED) for kind in KINDS] + [(kind, "discover") for kind in DISCOVERABLE]


def run(name: str, one: Subject, site: str, metric: Callable[[Tensor], Tensor] = score, **options: Any) -> Any:
    """An experiment, at a place of the network where it takes one."""
    if name == "discover":
        return discover(one, metric=metric, faithfulness=0.5, n_random=2, **options)
    if name == "ablate":
        return ablate(one, site=site, metric=metric, **options)
    return PAIRED[name](one, *pair(one), site, metric=metric, **options)


@contextmanager
def refused(one: Subject, message: str | None, error: type[BaseException] = InterpError) -> Iterator[None]:
    """The error comes, and the model has its own tensors, with their values, and no hooks."""
    tensors, weights = dict(one.model.named_parameters()), weights_of(one)
    with pytest.raises(error, match=message):
        yield
    assert_untouched(one, weights)
    assert all(p is tensors[n] for n, p in one.model.named_parameters())


@pytest.mark.parametrize("name", ["ablate", *PAIRED])
@pytest.mark.parametrize("kind", KINDS)
def test_a_site_that_the_model_has_not(kind: str, name: str) -> None:
    """The nearest is named."""
    one = subject(kind)
    place = KINDS[kind].places[0]
    with refused(one, f"'{re.escape(place)}t'; nearest: .*{re.escape(place)}", UnknownSite):
        run(name, one, f"{place}t")


def test_a_receiver_or_an_open_point_that_the_model_has_not() -> None:
    one, place = subject("transformer"), KINDS["transformer"].places[0]
    for options in ({"receivers": ["hook_logit"]}, {"receivers": ["hook_logits"], "through": ["*hook_pst"]}):
        with refused(one, "hook point matches.*nearest: ", UnknownSite):
            path_patch(one, *pair(one), sender=place, metric=score, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_a_basis_of_another_dimension(kind: str) -> None:
    """Both dimensions are named."""
    one, place, basis = subject(kind), KINDS[kind].places[0], Basis.random(2, 77, seed=0)
    with refused(one, r"77 dimensions, the site's features are \d+"):
        ablate(one, basis=basis, site=place, metric=score)
    on = Site(place, basis=basis)
    for change in (
        Keep(place, basis, Zero()),
        Remove(place, basis, Zero()),
        Scale(on, 2),
        Ablate(on, Zero()),
        Add(on, torch.ones(2)),
    ):
        with refused(one, r"77 dimensions, the site's feature axis has \d+"), torch.no_grad(), applied(one, change):
            one.model(pair(one)[0])


@pytest.mark.parametrize("name", PAIRED)
@pytest.mark.parametrize("kind", KINDS)
def test_runs_that_do_not_align(kind: str, name: str) -> None:
    """Another number of inputs, another shape, another type, the same twice, none."""
    one, place = subject(kind), KINDS[kind].places[0]
    clean, corrupted = pair(one)
    other = corrupted.long() if clean.is_floating_point() else corrupted.double()
    for bad, message in (
        (corrupted[:2], r"do not align: \[5, .*\] .* and \[2, "), (corrupted[:, :1], "do not align"),
        (other, f"do not align: .* {str(clean.dtype)[6:]} and .* {str(other.dtype)[6:]}"), (clean.clone(), "are the same"),
    ):  # fmt: skip
        with refused(one, message):
            PAIRED[name](one, clean, bad, place, metric=score)
    with refused(one, "no clean and corrupted inputs"):
        PAIRED[name](one, clean[:0], corrupted[:0], place, metric=score)


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, n in EVERY if n in ("ablate", "discover")])
def test_no_inputs(kind: str, name: str) -> None:
    one, place = subject(kind), KINDS[kind].places[0]
    with refused(one, "no inputs were given"):
        run(name, one, place, inputs=pair(one)[0][:0])


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_hook_left_by_somebody_else(kind: str, name: str) -> None:
    """It is named, and stays; without it the same call runs."""
    one, place = KINDS[kind].build(), KINDS[kind].places[0]
    handle = one.model.hook_dict[place].register_forward_hook(lambda *_: None)
    with pytest.raises(InterpError, match=f"hooks are installed on the model, at {re.escape(place)}; remove them"):
        run(name, one, place)
    assert one.model.watched_sites() == [place]
    handle.remove()
    run(name, one, place)
    assert one.model.watched_sites() == []


def test_a_hook_left_within_a_wrapped_module() -> None:
    """It is not on a hook point; the module is named."""
    one, place = KINDS["conv"].build(), "0.hook_out"
    one.model.get_submodule("module.2.conv").register_forward_hook(lambda *_: None)
    for name in ("ablate", *PAIRED):
        with pytest.raises(InterpError, match=r"hooks are installed on the model, at 2\.conv;"):
            run(name, one, place)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_what_has_no_effect(kind: str) -> None:
    """Never fired, and fired without a change; a freeze may change nothing."""
    one, place = subject(kind), KINDS[kind].places[0]
    inputs = pair(one)[0]
    own = interp.capture(one.model, inputs, place)[place]
    with (
        refused(one, f"never fired: {re.escape(place)} was not reached", NoEffect),
        applied(one, Ablate(place, Zero())),
    ):
        pass
    for idle in (Scale(place, 1), Add(place, torch.zeros(())), Patch(place, own)):
        with refused(one, "fired 1 times and changed nothing", NoEffect), applied(one, idle):
            one.model(inputs)
    with applied(one, Freeze(place, own)):
        one.model(inputs)


def test_a_sender_that_is_the_same_in_both_runs() -> None:
    one = subject("transformer")
    with refused(one, "the sender hook_pos_embed is the same", NoEffect):
        run("path_patch", one, "hook_pos_embed")


@pytest.mark.parametrize("kind", KINDS)
def test_a_reference_set_of_another_shape(kind: str) -> None:
    """Fewer positions, channels or operands: wherever a mean takes a reference."""
    one = subject(kind)
    place, inputs = KINDS[kind].places[0], one.require_task().inputs
    value = Mean(reference=inputs[:, :2] if kind in ("transformer", "lstm", "bridge") else inputs[:, :1])
    with refused(one, "reference"), torch.no_grad(), applied(one, Ablate(place, value)):
        one.model(inputs)
    with refused(one, "reference"):
        ablate(one, site=place, value=value)
    for of in (["nodes"] if kind in DISCOVERABLE else []) + (["edges"] if kind in ("transformer", "mlp") else []):
        with refused(one, "reference"):
            run("discover", one, place, value=value, of=of)


def test_an_empty_reference_set() -> None:
    """Refused where it is made, and where a task's set turns out to be empty."""
    one = subject("mlp")
    with pytest.raises(InterpError, match="reference set of a mean is empty"):
        Mean(reference=one.require_task().inputs[:0])
    one = subject("conv")
    whole = replace(one, task=interp.Examples(one.require_task().inputs, one.require_task().labels))
    value = Mean(reference="test")
    with refused(whole, "the reference set 'test' of examples is empty"):
        run("ablate", whole, "0.hook_out", value=value)
    with refused(whole, "the reference set 'test' of examples is empty"), applied(whole, Ablate("0.hook_out", value)):
        pass


def test_a_compiled_module_is_unwrapped() -> None:
    """With a warning that says so; the experiment is that of the module within. The compiled call never runs."""
    torch.manual_seed(0)
    net, inputs = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), torch.randn(6, 4)
    with pytest.warns(UserWarning, match="unwrapped from OptimizedModule: the Sequential inside is measured"):
        model = interp.wrap(torch.compile(net, backend="eager"), inputs)
    found, plain = (
        ablate(Subject("net", m), site="0.hook_out", metric=score, inputs=inputs)
        for m in (model, interp.wrap(net, inputs))
    )
    assert found.equals(plain)
    assert all(a is b for a, b in zip(model.parameters(), net.parameters(), strict=True))
    hooked = HookedMLP(MLPConfig((4,), 3, d_in=4))
    with pytest.warns(UserWarning, match="the HookedMLP inside"):
        assert interp.wrap(torch.compile(hooked, backend="eager")) is hooked


def test_modules_that_hooks_do_not_reach() -> None:
    """A compiled part, and TorchScript: each names what to wrap instead."""
    net, inputs = nn.Sequential(nn.Linear(4, 5), nn.ReLU()), torch.randn(6, 4)
    part = nn.Sequential(torch.compile(nn.Linear(4, 4), backend="eager"), nn.ReLU())
    with pytest.raises(
        InterpError, match="0 is compiled, and hooks do not reach inside; wrap the module before compiling it"
    ):
        interp.wrap(part, inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that TorchScript is going away
        made = torch.jit.script(net), torch.jit.trace(net, inputs)
    for module in made:
        with pytest.raises(InterpError, match="is TorchScript, which hooks do not reach; wrap the module that"):
            interp.wrap(module, inputs)


class Interrupting:
    """A metric that is interrupted at its n-th call."""

    def __init__(self, at: int):
        self.left = at

    def __call__(self, outputs: Tensor) -> Tensor:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return score(outputs)


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_ctrl_c_leaves_the_model_as_it_was(kind: str, name: str, at: int) -> None:
    """In the clean run, and in a changed one."""
    one, place = subject(kind), KINDS[kind].places[0]
    with refused(one, None, KeyboardInterrupt):
        run(name, one, place, metric=Interrupting(at))


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, n in EVERY if n in ("ablate", "patch", "discover")])
def test_ctrl_c_while_progress_is_told(kind: str, name: str) -> None:
    one, place = subject(kind), KINDS[kind].places[0]

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with refused(one, None, KeyboardInterrupt):
        run(name, one, place, progress=stop)
