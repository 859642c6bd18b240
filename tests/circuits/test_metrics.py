"""Each metric against torch, by hand, and the direction in which it is better."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from circuits import LogitDiff, Zero, ablate
from circuits.engine.evaluation import make_evaluation
from circuits.metrics import METRICS, make_metric
from interp import Examples, HookedMLP, InterpError, MLPConfig, Subject
from interp.errors import MissingCapability, UnknownName

INPUTS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def network(task: bool = True) -> Subject:
    model = HookedMLP(MLPConfig((5,), 3, d_in=4)).double().init_weights(0, 2.0)
    return Subject("vectors", model, Examples(INPUTS, LABELS, train=[0, 1, 2, 3]) if task else None)


@torch.no_grad()
def outputs(unit: int | None = None) -> Tensor:
    """The outputs with one unit at 0, by the weights alone."""
    model = network().model
    hidden = (INPUTS @ model.layers[0].W + model.layers[0].b).relu()  # type: ignore[index,union-attr]
    if unit is not None:
        hidden[:, unit] = 0
    return hidden @ model.unembed.W_U + model.unembed.b_U  # type: ignore[union-attr,operator]


def by_torch(name: str, changed: Tensor, clean: Tensor) -> Tensor:
    if name == "loss":
        return F.cross_entropy(changed, LABELS)
    if name == "accuracy":
        return (changed.argmax(-1) == LABELS).double().mean()
    if name == "kl":
        return F.kl_div(changed.log_softmax(-1), clean.log_softmax(-1), log_target=True, reduction="batchmean")
    right = F.one_hot(LABELS, 3).bool()
    return (changed[right] - changed.masked_fill(right, -torch.inf).amax(-1)).mean()


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_is_torchs(name: str) -> None:
    """Clean, and without each unit; the change is changed minus clean."""
    frame, clean = ablate(network(), value=Zero(), metric=name), outputs()
    expected = [by_torch(name, outputs(unit), clean).item() for unit in range(5)]
    np.testing.assert_allclose(frame[name], expected, rtol=1e-10, atol=1e-12)
    before = by_torch(name, clean, clean).item()
    assert frame.attrs["clean"][name] == pytest.approx(before, abs=1e-12)
    np.testing.assert_allclose(frame[f"{name}_change"], np.array(expected) - before, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "worse"), [("loss", "positive"), ("kl", "positive"), ("accuracy", "negative"), ("logit_diff", "negative")]
)
def test_the_result_says_its_sign(name: str, worse: str) -> None:
    sign = ablate(network(), value=Zero(), metric=name).attrs["sign"]
    assert f"{name}_change = changed minus clean: {worse} means that what was changed was needed" in sign


def test_a_function_has_no_better_or_worse() -> None:
    """A value per input, or one number for all: the same mean."""

    def spread(out: Tensor) -> Tensor:
        return out.std(-1)

    def one_number(out: Tensor) -> Tensor:
        return out.std(-1).mean()

    each = ablate(network(), value=Zero(), metric=spread)
    whole = ablate(network(), value=Zero(), metric=one_number)
    expected = [outputs(unit).std(-1).mean().item() for unit in range(5)]
    np.testing.assert_allclose(each["spread"], expected, rtol=1e-10)
    np.testing.assert_allclose(whole["one_number"], expected, rtol=1e-10)
    assert each.attrs["sign"].endswith("spread_change = changed minus clean")


def test_given_answers_need_no_task() -> None:
    """Right and wrong ones by index."""
    wrong = (LABELS + 1) % 3
    frame = ablate(network(task=False), value=Zero(), metric=LogitDiff(LABELS, wrong), inputs=INPUTS)
    rows = torch.arange(6)
    expected = [(outputs(u)[rows, LABELS] - outputs(u)[rows, wrong]).mean().item() for u in range(5)]
    np.testing.assert_allclose(frame["logit_diff"], expected, rtol=1e-10)


def test_kl_is_of_the_clean_from_the_changed() -> None:
    """Logits (ln 3, 0) are probabilities 3/4 and 1/4; changed to 1/2 and 1/2: 3/4 ln 3/2 + 1/4 ln 1/2."""
    model = HookedMLP.from_weights(
        MLPConfig((1,), 2, d_in=1, bias=False, unembed_bias=False),
        {"layers.0.W": torch.ones(1, 1).double(), "unembed.W_U": torch.tensor([[math.log(3), 0.0]]).double()},
    )
    frame = ablate(Subject("two", model), value=Zero(), metric="kl", inputs=torch.ones(1, 1))
    assert frame["kl"].tolist() == pytest.approx([0.75 * math.log(1.5) + 0.25 * math.log(0.5)])


def test_impossible_answers_have_no_share_in_kl() -> None:
    """0 ln 0 is 0."""
    evaluation = make_evaluation(network(), "kl")
    clean = torch.tensor([[0.0, -torch.inf, 0.0]]).expand(6, 3)
    evaluation.answers.__dict__["clean"] = clean.double().log_softmax(-1)
    changed = torch.zeros(1, 6, 3).double()
    assert evaluation.judge(changed).flatten().tolist() == pytest.approx([math.log(1.5)] * 6)


@pytest.mark.parametrize(("metric", "message"), [
    (LogitDiff(torch.tensor([0, 1])), "an answer's index per input"), (LogitDiff(torch.full((6,), 3)), "an answer of 3 among 3"),
    (LogitDiff(LABELS.double()), "an answer's index per input"), (lambda out: out, r"returned shape \[6, 3\] for 6 inputs"),
    (7, "a metric is a name"),
])  # fmt: skip
def test_what_is_no_metric_is_refused(metric: object, message: str) -> None:
    with pytest.raises(InterpError, match=message):
        ablate(network(), value=Zero(), metric=metric)  # type: ignore[arg-type]


def test_names_are_strict() -> None:
    with pytest.raises(UnknownName, match="did you mean 'logit_diff'"):
        make_metric("logit_dif")
    with pytest.raises(MissingCapability, match="'loss' needs the right answers"):
        ablate(network(task=False), value=Zero(), metric="loss", inputs=INPUTS)
