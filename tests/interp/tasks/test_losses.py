"""Losses: against torch's own, a double loop over pairs, and the laws that the papers state."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from interp.errors import UnknownName
from interp.tasks.losses import LOSSES, CrossEntropy, EffectiveLoss, Hinge, VectorMSE, make_loss

MEMBERS, N, ANSWERS = 3, 12, 4
REGRESSIONS = ("regression", "weighted_mse")  # the second by name alone has weights of 1


def batch(name: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Outputs ``[member, n, width]`` and labels ``[n]`` of the kind that the loss takes."""
    generator = torch.Generator().manual_seed(seed)
    width = make_loss(name, ANSWERS).width(ANSWERS)
    outputs = torch.randn(MEMBERS, N, width, generator=generator, dtype=torch.float64)
    if name in REGRESSIONS:
        return outputs, torch.randn(N, width, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 2 if name in ("hinge", "bce") else ANSWERS, (N,), generator=generator)
    return outputs, 2 * labels - 1 if name == "hinge" else labels


def by_torch(name: str, outputs: Tensor, labels: Tensor) -> Tensor:
    """The mean loss of one member by torch's own functions, or by loops."""
    if name == "cross_entropy":
        return F.cross_entropy(outputs, labels)
    if name == "stablemax":  # the paper's formula, term by term
        s = torch.stack([x + 1 if x >= 0 else 1 / (1 - x) for x in outputs.flatten()]).view_as(outputs)
        return torch.stack([-(row[i] / row.sum()).log() for row, i in zip(s, labels, strict=True)]).mean()
    if name == "mse":
        return F.mse_loss(outputs, torch.eye(ANSWERS, dtype=torch.float64)[labels])
    if name == "vectors":
        vectors = torch.randn(ANSWERS, 30, generator=torch.Generator().manual_seed(0)).double()
        return F.mse_loss(outputs, torch.stack([vectors[i] for i in labels.tolist()]))
    if name == "hinge":
        pairs = zip(outputs[:, 0].tolist(), labels.tolist(), strict=True)
        return torch.tensor([max(0.0, 1 - label * out) for out, label in pairs], dtype=torch.float64).mean()
    if name == "bce":
        return F.binary_cross_entropy_with_logits(outputs[:, 0], labels.double())
    if name in REGRESSIONS:
        return F.mse_loss(outputs, labels)
    return naive_effective(outputs, labels)


def naive_effective(f: Tensor, labels: Tensor) -> Tensor:
    """``sum over pairs x < y of a label |f(x) - f(y)|^2 / sum |f(x)|^2``, pair by pair."""
    pairs = [(f[x] - f[y]).square().sum() for x in range(len(f)) for y in range(x) if labels[x] == labels[y]]
    return torch.stack(pairs).sum() / f.square().sum()


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_is_torchs(name: str) -> None:
    """Mean over the examples, member by member, to float64's precision."""
    outputs, labels = batch(name)
    loss = make_loss(name, ANSWERS)
    expected = torch.stack([by_torch(name, member, labels) for member in outputs])
    assert loss(outputs, labels).shape == (MEMBERS, N)
    torch.testing.assert_close(loss(outputs, labels).mean(-1), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_torchs(name: str) -> None:
    """What is minimised, not only what is reported."""
    outputs, labels = batch(name, seed=1)
    outputs.requires_grad_()
    ours = torch.autograd.grad(make_loss(name, ANSWERS)(outputs, labels).mean(-1).sum(), outputs)[0]
    if name == "hinge":  # by hand: -label where the margin is below 1
        theirs = -labels[:, None].double() * (labels[:, None] * outputs < 1) / N
    else:
        total = torch.stack([by_torch(name, member, labels) for member in outputs]).sum()
        theirs = torch.autograd.grad(total, outputs)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_members_together_are_members_alone(name: str) -> None:
    """Leading axes are other networks: neither losses nor answers mix them, with labels shared or one row each."""
    outputs, labels = batch(name)
    loss = make_loss(name, ANSWERS)
    rows = labels.expand(MEMBERS, *labels.shape)
    for given in (labels, rows):
        torch.testing.assert_close(loss(outputs, given), torch.stack([loss(o, labels) for o in outputs]))
        right = loss.correct(outputs, given)
        if name in REGRESSIONS:
            assert right is None
            continue
        assert right is not None
        assert right.shape == (MEMBERS, N)
        assert torch.equal(right, torch.stack([r for o in outputs if (r := loss.correct(o, labels)) is not None]))
        assert 0 < right.sum() < right.numel()  # neither all nor none: the comparison says something


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", [n for n in LOSSES if n not in REGRESSIONS])
def test_nan_is_never_right(name: str, bad: float) -> None:
    """An example with NaN is answered wrongly and has no finite loss; infinity is not the nearest vector; others keep theirs."""
    loss = make_loss(name, 2)
    labels = torch.tensor([1, 1, -1, -1]) if name == "hinge" else torch.tensor([1, 1, 0, 0])
    perfect = {
        "hinge": 2.0 * labels[:, None], "bce": 4.0 * labels[:, None] - 2, "effective": torch.eye(2)[labels],
        "vectors": VectorMSE(2).vectors(torch.zeros(1))[labels % 2],
    }.get(name, torch.eye(2)[labels % 2])  # fmt: skip
    right = loss.correct(perfect, labels)
    assert right is not None
    assert right.all()
    broken = perfect.clone()
    broken[[0, 2]] = bad
    right = loss.correct(broken, labels)
    assert right is not None
    if math.isnan(bad):
        assert right.tolist() == [False, True, False, True]
        assert loss(broken, labels)[[0, 2]].isnan().all()
    elif name in ("vectors", "effective"):
        assert right.tolist() == [False, True, False, True]


def test_half_of_a_row_is_nan() -> None:
    """argmax takes NaN for the largest: a NaN at the label's own place, or elsewhere, is not right."""
    outputs = torch.tensor([[torch.nan, 0.0], [0.0, torch.nan]])
    for name in ("cross_entropy", "mse", "effective"):
        right = make_loss(name, 2).correct(outputs, torch.tensor([0, 0]))
        assert right is not None
        assert not right.any()


def test_nan_moves_no_class_mean() -> None:
    """A class's mean is that of its finite examples: 4 and not 2, which is farther from 4 than 3 is."""
    f = torch.tensor([[4.0, 0.0], [torch.nan, 0.0], [3.0, 0.0]])
    assert EffectiveLoss(2).correct(f, torch.tensor([0, 0, 1])).tolist() == [True, False, True]


def test_the_nearest_vector_is_the_answer() -> None:
    """Against the distances themselves."""
    outputs, labels = batch("vectors", seed=2)
    loss = VectorMSE(ANSWERS)
    distances = torch.cdist(outputs, loss.vectors(outputs).expand(MEMBERS, -1, -1))
    assert torch.equal(loss.correct(outputs, labels), distances.argmin(-1) == labels)
    assert loss.correct(loss.vectors(outputs), torch.arange(ANSWERS)).all()


def test_the_nearest_class_mean_is_the_answer() -> None:
    """Against means taken class by class; a class without examples is not an answer."""
    outputs, labels = batch("effective", seed=3)
    labels = labels.clamp(max=2)  # nobody has label 3, whose mean would be the origin
    for member in outputs:
        means = torch.stack([member[labels == c].mean(0) for c in range(3)])
        expected = torch.cdist(member, means).argmin(-1) == labels
        assert torch.equal(EffectiveLoss(ANSWERS).correct(member, labels), expected)


def test_the_effective_loss_conserves_z() -> None:
    """Its gradient is orthogonal to f, since it does not change when f is scaled; that of l alone is not."""
    outputs, labels = batch("effective")
    f = outputs[0].clone().requires_grad_()
    loss = EffectiveLoss(ANSWERS)(f, labels).mean()
    gradient = torch.autograd.grad(loss, f, retain_graph=True)[0]
    assert gradient.norm() > 0.01
    assert abs(float((gradient * f.detach()).sum())) < 1e-14
    unnormed = torch.autograd.grad(loss * f.square().sum(), f)[0]
    assert abs(float((unnormed * f.detach()).sum())) > 1


def test_the_effective_loss_collapses_classes() -> None:
    """It is 0 where each class is one point, however far apart."""
    f = torch.tensor([[3.0, 0.0], [3.0, 0.0], [0.0, -1.0], [0.0, -1.0]])
    labels = torch.tensor([0, 0, 1, 1])
    assert EffectiveLoss(2)(f, labels).abs().max() < 1e-6
    assert EffectiveLoss(2).correct(f, labels).all()
    assert EffectiveLoss(2)(f, labels.roll(1)).mean() > 0.5


def test_cross_entropy_is_exact_for_large_outputs() -> None:
    """At 1000 and 970 the loss is log(1 + e^-30), 3 digits of which float64 would lose in ``1000.0... - 1000``."""
    loss = CrossEntropy()(torch.tensor([[1000.0, 970.0]]), torch.tensor([0]))
    assert loss.item() == pytest.approx(math.log1p(math.exp(-30)), rel=5e-3, abs=0)
    assert math.copysign(1, CrossEntropy()(torch.tensor([[1000.0, 0.0]]), torch.tensor([0])).item()) == 1


def test_signs_decide() -> None:
    """Hinge and BCE read -1 as the other class; an output of exactly 0 is not an answer."""
    outputs = torch.tensor([[0.5], [-0.5], [0.0]], dtype=torch.float64)
    for labels in ([1, -1, 1], [1, -1, -1]):
        for name in ("hinge", "bce"):
            right = make_loss(name, 2).correct(outputs, torch.tensor(labels))
            assert right is not None
            assert right.tolist() == [True, True, False]
    zeros, ones = torch.tensor([0, 0, 0]), torch.tensor([-1, -1, -1])
    assert torch.equal(make_loss("bce", 2)(outputs, zeros), make_loss("bce", 2)(outputs, ones))
    assert not torch.equal(Hinge()(outputs, torch.tensor([1, 1, 1])), Hinge()(outputs, ones))


def test_unknown_losses_name_the_nearest() -> None:
    """A name that is not known is an error with a suggestion."""
    with pytest.raises(UnknownName, match="did you mean 'cross_entropy'"):
        make_loss("crossentropy", 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_stablemax_far_out(dtype: torch.dtype) -> None:
    """Loss and gradient are finite from -1e30 to 1e30, and at 0, where the two branches meet, the gradient is that of both."""
    outputs = torch.tensor([[0.0, 0.0], [1e30, -1e30], [-1e30, 1e30]], dtype=dtype, requires_grad=True)
    loss = make_loss("stablemax", 2)(outputs, torch.tensor([0, 0, 0]))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    assert outputs.grad[0].tolist() == [-0.5, 0.5]  # d/dx of -ln(s / (s + 1)) with s(0) = s'(0) = 1
