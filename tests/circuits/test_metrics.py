"""Each metric against torch, by hand, and the direction in which it is better."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from circuits import Ablate, LogitDiff, Metric, Patch, Zero, ablate, applied, eap, intervene, patch
from circuits.answers import Answers
from circuits.engine.evaluation import make_evaluation
from circuits.metrics import METRICS, RESERVED, LossMetric, make_metric, make_metrics
from interp import Examples, HookedMLP, InterpError, MLPConfig, Subject, capture
from interp._util import registry
from interp.errors import MissingCapability, UnknownName
from interp.sites import Site
from tests.models import P, subject

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
    assert f"{name}_change = changed minus clean: {worse} means that the changed part was needed" in sign


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
    with pytest.raises(MissingCapability, match="'loss' needs the correct answers"):
        ablate(network(task=False), value=Zero(), metric="loss", inputs=INPUTS)


def test_a_lambda_is_called_metric() -> None:
    """Its columns too; a partial is called what its function is called, and two of a name are numbered."""

    def spread(out: Tensor, by: float = 1.0) -> Tensor:
        return by * out.std(-1)

    found = ablate(network(), value=Zero(), metric=lambda out: out.std(-1))
    named = ablate(network(), value=Zero(), metric=partial(spread, by=2.0))
    assert {"metric", "metric_change"} < set(found)
    np.testing.assert_allclose(named["spread"], 2 * found["metric"])
    several = intervene(
        network(),
        Ablate("layers.0.hook_post", Zero()),
        metric=["kl", lambda out: out.mean(-1), lambda out: out.std(-1), spread],
    )
    assert several["metric"].tolist() == ["kl", "metric", "metric_2", "spread"]
    assert several["clean"].tolist()[2] == several["clean"].tolist()[3] != several["clean"].tolist()[1]


def test_a_function_never_takes_the_place_of_another_column() -> None:
    """Neither of a metric of the task nor of a table: both are there."""

    def loss(out: Tensor) -> Tensor:
        return out.std(-1)

    def accuracy(out: Tensor) -> Tensor:
        return 0.3 + 0 * out[:, 0]

    def site(out: Tensor) -> Tensor:
        return out.std(-1)

    found = ablate(network(), value=Zero(), metric=loss)
    plain = ablate(network(), value=Zero())
    np.testing.assert_allclose(
        found["loss"], plain["loss"], rtol=1e-14
    )  # where a tensor lies in memory moves the last bit
    np.testing.assert_allclose(found["loss_2"], [outputs(unit).std(-1).mean().item() for unit in range(5)])
    own = ablate(network(task=False), inputs=INPUTS, value=Zero(), metric=accuracy)
    np.testing.assert_allclose(own["accuracy"], 0.3)  # not counted in whole answers
    assert "site" in RESERVED
    by_site = ablate(network(), value=Zero(), metric=site)
    assert set(by_site["site"]) == {"layers.0.hook_post"}
    np.testing.assert_allclose(by_site["site_metric"], found["loss_2"], rtol=1e-14)
    patched = patch(network(), INPUTS[:3], INPUTS[3:], "layers.0.hook_post", metric=site)
    assert set(patched.effects["site"]) == {"layers.0.hook_post"}
    assert patched.summary["metric"] == "site_metric"


class Margin(Metric):
    """A stranger's metric: the largest output."""

    name = "margin"

    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        return outputs.amax(-1).double()


class Sharpness(Margin):
    name = "sharpness"

    def __init__(self, power: int) -> None:
        self.power = power


MARGIN, NOT_A_METRIC = Margin(), 7


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Entry points of another package: two good ones, and one for every way to be wrong."""
    here = __name__
    theirs = [
        EntryPoint(name, value, "interp.metrics")
        for name, value in {
            "margin": f"{here}:Margin", "absent": "no_such_module:metric", "seven": f"{here}:NOT_A_METRIC",
            "edge": f"{here}:MARGIN", "sharpness": f"{here}:Sharpness", "kl": f"{here}:Margin", "abstract": "circuits:Metric",
        }.items()
    ]  # fmt: skip
    real = registry.entry_points

    def both(group: str) -> list[EntryPoint]:
        return [*real(group=group), *(theirs if group == "interp.metrics" else [])]

    monkeypatch.setattr(registry, "entry_points", both)
    registry.load_group.cache_clear()
    yield
    registry.load_group.cache_clear()


@pytest.mark.usefixtures("strangers")
def test_a_strangers_metric_is_found_by_its_name() -> None:
    """As a class or an instance, beside ours; everywhere."""
    found = ablate(network(), value=Zero(), metric="margin")
    np.testing.assert_allclose(found["margin"], [outputs(unit).amax(-1).mean().item() for unit in range(5)])
    np.testing.assert_allclose(found["loss"], ablate(network(), value=Zero())["loss"])
    assert {"margin", "loss", "accuracy", "logit_diff"} == set(METRICS)  # kl is registered twice


@pytest.mark.usefixtures("strangers")
@pytest.mark.parametrize(("name", "message"), [
    ("absent", "no_such_module:metric failed to import: ModuleNotFoundError"), ("seven", "a metric is a circuits.Metric"),
    ("edge", "Margin.name is 'margin'"), ("sharpness", "cannot be made without arguments"),
    ("kl", "registered 2 times"), ("abstract", "Metric does not implement values"),
])  # fmt: skip
def test_broken_metrics_are_reported_when_asked_for(name: str, message: str) -> None:
    """And only then: the others work."""
    with pytest.raises(InterpError, match=message):
        make_metric(name)
    assert make_metric("loss") == LossMetric()
    assert name in METRICS.broken()


def test_wrong_kinds_of_metric_are_refused() -> None:
    """A class where an instance is meant is made if it needs nothing."""
    assert make_metric(LossMetric) == LossMetric()  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="give an instance of the metric Sharpness: .*without arguments"):
        make_metric(Sharpness)  # type: ignore[arg-type]
    for wrong in (7, None, ["loss"], torch.nn.ReLU(), Subject):
        with pytest.raises(InterpError, match="a metric is a name .*accuracy, kl, logit_diff, loss"):
            make_metric(wrong)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="two metrics are called 'kl'"):
        make_metrics(["kl", "kl"])
    with pytest.raises(InterpError, match="no metric was given"):
        make_metrics([])


@pytest.mark.parametrize("name", ["plain", "no mlp", "layer norm"])
@pytest.mark.parametrize("kind", ["heads", "neurons"])
def test_logit_diff_at_a_position_of_each_input(name: str, kind: Any) -> None:
    """Prompts of different lengths: ablation, patching and edges read each input where it ends, as a plain loop does."""
    one = subject(name)
    if not one.model.component_sites(kind):
        return
    inputs, n = one.require_task().inputs[:9], 9
    right, wrong, position = torch.arange(n) % P, (torch.arange(n) + 3) % P, torch.arange(n) % 3 - 3
    metric = LogitDiff(right, wrong, position)

    def plain(logits: Tensor) -> Tensor:
        own = torch.stack([logits[i, p] for i, p in enumerate(position.tolist())])
        return (own[range(n), right] - own[range(n), wrong]).mean().detach()

    assert repr(metric) == "LogitDiff(right=answers of 9 inputs, wrong=answers of 9 inputs, position of 9 inputs)"
    frame = ablate(one, kind, inputs=inputs, metric=metric, value=Zero())
    for row in frame.to_dict("records")[::2]:
        part = {"head" if kind == "heads" else "unit": row["index"]}
        with applied(one.model, Ablate(Site(row["site"], **part), Zero()), strict=False):
            assert row["logit_diff"] == pytest.approx(float(plain(one.model(inputs))), rel=1e-9)
    scores = eap(one, inputs, metric=metric, value="zero")
    assert scores.clean == pytest.approx(float(plain(one.model(inputs))), rel=1e-9)
    patched = patch(one, inputs, inputs.flip(0), "blocks.0.attn.hook_z", metric=metric, by=())
    with applied(
        one.model, Patch("blocks.0.attn.hook_z", capture(one, inputs, "blocks.0.attn.hook_z")["blocks.0.attn.hook_z"])
    ):
        assert patched.effects["logit_diff"][0] == pytest.approx(float(plain(one.model(inputs.flip(0)))), rel=1e-9)


def test_positions_that_do_not_fit() -> None:
    one, inputs = subject("plain"), subject("plain").require_task().inputs[:4]
    for position, message in (
        (torch.tensor([0, 1, 2, 3]), "position 3 among 3"), (torch.tensor([0, 1]), "2 positions in outputs"),
        (torch.zeros(4), "a tensor of integers"), (torch.tensor([2, 0, -4, 1]), "position -4 among 3"),
    ):  # fmt: skip
        with pytest.raises(InterpError, match=message):
            ablate(one, inputs=inputs, metric=LogitDiff(torch.zeros(4).long(), position=position))
    with pytest.raises(InterpError, match="an answer of -1 among"):
        ablate(one, inputs=inputs, metric=LogitDiff(torch.tensor([0, 2, -1, 1])))
