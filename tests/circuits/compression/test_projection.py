"""`project` and `component_curve`: the plain forward pass with `Keep`, numpy's components, and the ends of the curve."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from circuits import Keep, applied
from circuits.compression.derived import score_columns, scores_of
from circuits.compression.held import principal_components
from circuits.compression.projection import component_curve, project
from circuits.interventions.values import Mean, Zero
from interp import HookedMLP, InterpError, MLPConfig, ModularArithmetic, Site, Subject, capture
from interp.errors import MissingCapability, UnknownSite
from interp.scores import Scores
from interp.tasks import Examples
from probes.basis import Basis
from tests.models import P, make, subject

PLACES = [
    ("plain", "hook_embed"), ("plain", "blocks.0.mlp.hook_post"), ("two layers", "blocks.0.mlp.hook_post"),
    ("two layers", "blocks.0.hook_resid_post"), ("layer norm", "blocks.1.hook_resid_mid"),
    ("layer norm", "blocks.0.hook_attn_out"), ("bidirectional", "hook_pos_embed"), ("no mlp", "blocks.1.hook_resid_pre"),
    ("folded norm", "blocks.0.ln1.hook_normalized"), ("shared concat", "hook_embed"), ("shared sum", "hook_input"),
    ("deep", "layers.0.hook_post"), ("deep", "layers.2.hook_post"), ("product", "hook_embed"),
]  # fmt: skip


def naive(one: Subject, site: str | Site, directions: Tensor, value: Mean | Zero = Mean()) -> Tensor:
    """The whole model over the whole table at once, with `Keep` in place."""
    task, basis = one.require_task(), Basis(directions, tuple(map(str, range(len(directions)))))
    with torch.no_grad(), applied(one.model, Keep(site, basis, value), strict=False):
        return task.read(one.model(task.inputs))


def judged(one: Subject, logits: Tensor) -> dict[str, float | int]:
    """Losses and accuracies from logits, by hand."""
    task = one.require_task()
    losses = -logits.log_softmax(-1)[torch.arange(len(logits)), task.labels]
    right = logits.argmax(-1) == task.labels
    found: dict[str, float | int] = {"correct": int(right.sum())}
    for part, index in (("", slice(None)), ("train_", task.train_indices), ("test_", task.test_indices)):
        found[f"{part}loss"] = float(losses[index].mean())
        found[f"{part}accuracy"] = float(right[index].double().mean())
    return found


def assert_scores(found: Scores | dict, expected: dict) -> None:
    given = score_columns(found) if isinstance(found, Scores) else found
    for name, number in expected.items():
        assert given[name] == pytest.approx(number, rel=1e-8), name


def vectors(one: Subject, site: str) -> np.ndarray:
    """Centred at each position, by numpy ``[rows, d]``."""
    task = one.require_task()
    acts = capture(one.model, task.inputs, site)[site].numpy()
    return (acts - acts.mean(0)).reshape(-1, acts.shape[-1])


@pytest.mark.parametrize(("name", "site"), PLACES)
def test_project_equals_the_plain_pass(name: str, site: str) -> None:
    """With a random basis, over whole positions; 0 directions and all of them too."""
    one = subject(name)
    dim = capture(one.model, one.require_task().inputs, site)[site].shape[-1]
    basis = Basis.random(dim, dim, 1)
    for n in (0, 2, dim):
        found = project(one, basis, n_directions=n, site=site)
        assert_scores(found, judged(one, naive(one, site, basis.directions[:n])))
    assert_scores(found, score_columns(scores_of(one)))
    zero = project(one, basis, n_directions=2, site=site, value=Zero())
    assert_scores(zero, judged(one, naive(one, site, basis.directions[:2], Zero())))


@pytest.mark.parametrize(("name", "site"), PLACES)
def test_the_curve_equals_project_and_numpy(name: str, site: str) -> None:
    """A row is `project` on the components; those span what numpy's SVD finds; in an MLP and elsewhere the plain pass."""
    one = subject(name)
    curve = component_curve(one, site)
    dim = int(curve["components"].iloc[-1])
    assert curve["components"].tolist()[:4] == [0, 1, 2, 3]
    data = vectors(one, site)
    if name != "plain" or site == "hook_embed":  # a reader holds the position that is read alone in the last block
        reduction = principal_components(one, site)
        assert reduction.basis.dim == dim
    basis = principal_components(one, site).basis
    for n in (0, 1, 3, dim):
        row = curve.set_index("components").loc[n].to_dict()
        assert_scores(row, score_columns(project(one, basis, n_directions=n, site=site)))
    if not site.endswith(("resid_mid", "mlp.hook_post", "resid_post")):
        s = np.linalg.svd(data, compute_uv=False) ** 2
        explained = np.concatenate([[0.0], s.cumsum() / s.sum()]) if s.sum() > 1e-20 else np.ones(dim + 1)  # a constant
        np.testing.assert_allclose(curve["explained"], explained[curve["components"]], atol=1e-7)
    assert_scores(curve.iloc[-1].to_dict(), score_columns(scores_of(one)))


def test_components_are_numpys() -> None:
    """Up to the sign, where singular values differ."""
    one = subject("deep")
    _, s, vh = np.linalg.svd(vectors(one, "layers.0.hook_post"), full_matrices=False)
    found = principal_components(one, "layers.0.hook_post")
    np.testing.assert_allclose(found.singular_values, s, rtol=1e-6)
    overlap = np.abs((found.basis.directions.numpy() * vh).sum(-1))
    np.testing.assert_allclose(overlap[:5], 1, atol=1e-6)


def planted() -> Subject:
    """Answers a + b mod 2 on two axes of its embedding in 6 dimensions; a third, of more variance, is for nothing."""
    W_E = torch.zeros(2, 6)
    W_E[1, 0], W_E[1, 3] = 1.0, 0.0
    W_E[0, 5], W_E[1, 5] = 40.0, 40.0  # large and constant: no variance at all
    W = torch.zeros(12, 2)
    W[[0, 6]] = 1.0
    weights = {
        "embed.W_E": W_E, "layers.0.W": W, "layers.0.b": torch.tensor([0.0, -1.0]),
        "unembed.W_U": torch.tensor([[0.0, 4.0], [0.0, -8.0]]), "unembed.b_U": torch.tensor([0.0, -2.0]),
    }  # fmt: skip
    config = MLPConfig((2,), 2, d_vocab=2, d_embed=6)
    model = HookedMLP.from_weights(config, {k: v.double() for k, v in weights.items()})
    return Subject("planted", model, ModularArithmetic(2, "add", 0.5).fit(model))


def test_by_hand() -> None:
    """One direction is all; without it every input is answered as the mean, 2 of 4 right."""
    curve = component_curve(planted(), "hook_embed", amounts=[0, 1, 6])
    assert curve["correct"].tolist() == [2, 4, 4]
    assert curve["explained"].tolist() == pytest.approx([0.0, 1.0, 1.0])
    direction = principal_components(planted(), "hook_embed").basis.directions[0]
    torch.testing.assert_close(direction.abs(), torch.eye(6, dtype=torch.float64)[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "site"), [("plain", "hook_embed"), ("deep", "layers.1.hook_post")])
def test_the_components_of_another_subject(name: str, site: str) -> None:
    """The directions are the other's, the means its own."""
    one, other = subject(name, 0), subject(name, 5)
    basis = principal_components(other, site).basis
    curve = component_curve(one, site, basis_from=other, amounts=[1, 3])
    for row, n in zip(curve.to_dict("records"), (1, 3), strict=True):
        assert_scores(row, judged(one, naive(one, site, basis.directions[:n])))
        data = vectors(one, site)
        inside = data @ basis.directions[:n].numpy().T
        assert row["explained"] == pytest.approx((inside**2).sum() / (data**2).sum())
    own = component_curve(one, site, amounts=[1, 3])
    assert (own["explained"] > curve["explained"]).all()
    same = component_curve(one, site, basis_from=one, amounts=[1, 3])
    pd.testing.assert_frame_equal(same, own)


def test_a_regression_has_losses_alone() -> None:
    """Targets of two numbers, from vectors; the embedding of an MLP of vectors is its input."""
    inputs = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = HookedMLP(MLPConfig((6,), 2, d_in=3)).double().init_weights(0)
    one = Subject("fit", model, Examples(inputs, inputs[:, :2] * 2, loss="regression"))
    curve = component_curve(one, "hook_input")
    assert curve["accuracy"].isna().all()
    assert curve["loss"].iloc[-1] == pytest.approx(scores_of(one).loss)


def test_an_activation_that_never_varies() -> None:
    """Nothing explains nothing, and nothing changes."""
    one = subject("plain")
    curve = component_curve(one, "hook_pos_embed", amounts=[0, 3])
    assert curve["explained"].tolist() == [1.0, 1.0]
    assert curve["loss"].tolist() == pytest.approx([scores_of(one).loss] * 2)


def test_a_part_of_a_site() -> None:
    one, site = subject("plain"), Site("hook_embed", pos=0)
    basis = Basis.random(12, 12, 0)
    found = project(one, basis, n_directions=1, site=site)
    assert_scores(found, judged(one, naive(one, site, basis.directions[:1])))


def test_refusals() -> None:
    one, basis = subject("plain"), Basis.neurons(12)
    with pytest.raises(InterpError, match="5 dimensions"):
        project(one, Basis.neurons(5), n_directions=2, site="hook_embed")
    for n in (-1, 13):
        with pytest.raises(InterpError, match="n_directions must be between 0 and 12"):
            project(one, basis, n_directions=n, site="hook_embed")
    with pytest.raises(UnknownSite, match="hook_embed"):
        project(one, basis, n_directions=1, site="hook_embbed")
    with pytest.raises(InterpError, match="hook points"):
        project(subject("two layers"), basis, n_directions=1, site="blocks.*.hook_resid_post")
    alone = Subject("alone", make("plain"))
    for call in (
        lambda: project(alone, basis, n_directions=1, site="hook_embed"),
        lambda: component_curve(alone, "hook_embed"),
    ):
        with pytest.raises(MissingCapability, match="needs a task"):
            call()
    with pytest.raises(InterpError, match="amounts must be between 0 and 12"):
        component_curve(one, "hook_embed", amounts=[13])
    with pytest.raises(InterpError, match="principal components need a site with a feature axis"):
        component_curve(one, "blocks.0.attn.hook_z")
    with pytest.raises(InterpError, match="5 dimensions, hook_embed of plain has 12"):
        component_curve(one, "hook_embed", basis_from=subject("shared sum"))
    broken = subject("plain")
    broken.model.W_E.data[0, 0] = float("nan")  # type: ignore[union-attr]
    with pytest.raises(InterpError, match="NaN or infinity"):
        component_curve(broken, "hook_embed")
    handle = one.model.hook_dict["hook_embed"].register_forward_hook(lambda *_: None)
    for call in (
        lambda: project(one, basis, n_directions=1, site="hook_embed"),
        lambda: component_curve(one, "hook_embed"),
    ):
        with pytest.raises(InterpError, match="hooks are installed"):
            call()
    handle.remove()
    assert P == 7


def test_the_site_by_default() -> None:
    """The first hook point of the basis's dimension."""
    one = subject("two layers")
    basis = Basis.random(4, 12, seed=0)
    assert project(one, basis, n_directions=3) == project(one, basis, n_directions=3, site="hook_embed")
    neurons = Basis.random(4, 10, seed=0)
    assert project(one, neurons, n_directions=3) == project(one, neurons, n_directions=3, site="blocks.0.mlp.hook_pre")
    with pytest.raises(InterpError, match="no hook point has 9 features"):
        project(one, Basis.random(4, 9, seed=0), n_directions=3)
