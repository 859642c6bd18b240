"""A snapshot: one forward pass that everything shares, equal to passes made alone; and from where a parameter acts."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from interp import Examples, HookedMLP, InterpError, MLPConfig, Subject, capture
from interp.activations.reducers import Mean
from interp.errors import MissingCapability
from interp.hooked import CPPNConfig, HookedCPPN, HookedModel
from interp.snapshot import Snapshot, is_matrix, matrices
from interp.subject import at_readout
from interp.tasks import ModularArithmetic
from tests.models import CONFIGS, MLPS, TRANSFORMERS, P, make, subject
from tests.probes.measures.models import lstm, parity


class Count:
    """Forward passes of any model over so many examples, by a hook on every module that is a whole model."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type[HookedModel]):
        self.sizes: list[int] = []
        forward = kind.forward

        def counted(model: Any, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
            self.sizes.append(len(inputs))
            return forward(model, inputs, *args, **kwargs)

        monkeypatch.setattr(kind, "forward", counted)


def test_nothing_is_computed_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights alone need no pass; then one serves logits, losses, hidden layers and the subject's own logits."""
    one = subject("two layers")
    count = Count(monkeypatch, type(one.model))
    snapshot = Snapshot(one)
    _ = snapshot.weights, snapshot.matrices, snapshot.embeddings, snapshot.step, snapshot.parts
    assert count.sizes == []
    _ = snapshot.hidden, snapshot.logits, snapshot.losses, snapshot.correct, snapshot.before("unembed.W_U")
    snapshot.forward()
    _ = snapshot.subject.logits()
    assert count.sizes == [P * P]


@pytest.mark.parametrize("name", [*CONFIGS, "lstm", "parity"])
def test_equal_to_passes_made_alone(name: str, tmp_path: Path) -> None:
    """Logits are the model's at the readout; hidden layers are TransformerLens's cache there; losses are the task's."""
    one = {"lstm": lambda: lstm(tmp_path), "parity": lambda: parity("hinge")}.get(name, lambda: subject(name))()
    snapshot, task = Snapshot(one), one.require_task()
    inputs = task.inputs.to(torch.float64) if task.inputs.is_floating_point() else task.inputs
    outputs, cache = one.model.run_with_cache(inputs)
    expected = task.read(outputs)
    torch.testing.assert_close(snapshot.logits, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(snapshot.losses, task.losses(expected), rtol=1e-9, atol=1e-12)
    assert torch.equal(snapshot.correct, task.correct(snapshot.logits))
    sites = [n for n in cache if n.endswith("hook_post") or n == "hook_final"]  # an LSTM reads its last state
    if not sites:
        with pytest.raises(MissingCapability, match="no hidden units"):
            _ = snapshot.hidden
        return
    assert list(snapshot.hidden) == sites
    for site in sites:
        full = cache[site][:, task.readout] if cache[site].ndim == 3 else cache[site]
        torch.testing.assert_close(snapshot.hidden[site], full, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [*CONFIGS, "lstm", "parity"])
def test_from_where_a_parameter_acts(name: str, tmp_path: Path) -> None:
    """Change any parameter: the activation it reads is the same, bit for bit, and resuming there gives the whole pass."""
    one = {"lstm": lambda: lstm(tmp_path), "parity": lambda: parity("hinge")}.get(name, lambda: subject(name))()
    snapshot, task = Snapshot(one), one.require_task()
    reader, found = at_readout(one.model, task), 0
    generator = torch.Generator().manual_seed(0)
    for parameter, weight in dict(one.model.named_parameters()).items():
        before = snapshot.before(parameter)
        if before is None:
            continue
        found += 1
        site, activation = before
        kept = weight.detach().clone()
        with torch.no_grad():
            weight += 0.5 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            assert torch.equal(capture(reader, task.inputs, site)[site], activation), parameter
            resumed, whole = task.read(reader.resume(site, activation)), task.read(one.model(task.inputs.to(
                torch.float64 if task.inputs.is_floating_point() else torch.long)))  # fmt: skip
            torch.testing.assert_close(resumed, whole, rtol=1e-10, atol=1e-10)
            assert not torch.allclose(whole, snapshot.logits), parameter  # the change does reach the answers
            weight.copy_(kept)
    assert found >= 1  # the unembedding's at the least


@pytest.mark.parametrize("name", [*TRANSFORMERS, *MLPS])
def test_what_reads_nothing_short_of_the_inputs(name: str) -> None:
    """Embeddings, positions and attention act on the whole pass."""
    model = make(name)
    for parameter, _ in model.named_parameters():
        early = "embed.W" in parameter and "unembed" not in parameter
        if early or ".attn." in parameter or "W_pos" in parameter or ".ln1." in parameter:
            assert model.reads(parameter) is None, parameter


def test_what_a_cppn_reads() -> None:
    """Whatever is said is a site that there is."""
    model = HookedCPPN(CPPNConfig("1;identity:2")).double().init_weights(0)
    assert all(model.reads(n) is None or model.reads(n) in model.hook_dict for n, _ in model.named_parameters())


@pytest.mark.parametrize("size", [1, 7, 48, 49, 500, None])
def test_outputs_of_a_capture(size: int | None) -> None:
    """What is kept of the output, batch by batch, is what one pass gives; nothing is kept by default."""
    model, inputs = make("plain"), ModularArithmetic(P).inputs
    acts = capture(model, inputs, "blocks.0.mlp.hook_post", batch_size=size, outputs=lambda out: out[:, -1, :3])
    assert acts.outputs is not None
    torch.testing.assert_close(acts.outputs, model(inputs)[:, -1, :3].detach(), rtol=1e-12, atol=1e-12)
    assert not acts.outputs.requires_grad
    assert capture(model, inputs, "blocks.0.mlp.hook_post", batch_size=size).outputs is None
    assert list(acts) == ["blocks.0.mlp.hook_post"]


def test_outputs_beside_a_reducer() -> None:
    """A streamed mean keeps the outputs all the same."""
    model, inputs = make("deep"), ModularArithmetic(P, equals_token=False).inputs
    acts = capture(model, inputs, "layers.0.hook_post", batch_size=10, reduce=Mean(), outputs=lambda out: out)
    torch.testing.assert_close(acts.outputs, model(inputs).detach(), rtol=1e-12, atol=1e-12)


def test_precision() -> None:
    """A network stored in float32 is measured in the subject's precision, and its own weights stay as they are."""
    model = make("deep").float()
    wide, narrow = Snapshot(Subject("wide", model, ModularArithmetic(P).fit(model))), None
    narrow = Snapshot(replace(wide.subject, model=model, precision=torch.float32))
    assert (wide.logits.dtype, narrow.logits.dtype, model.dtype) == (torch.float64, torch.float32, torch.float32)
    assert wide.losses.dtype == narrow.losses.dtype == torch.float64
    torch.testing.assert_close(wide.logits.float(), narrow.logits, rtol=1e-4, atol=1e-4)


def test_parts() -> None:
    """Train and test, each once; a part that does not exist, and one that is empty."""
    snapshot = Snapshot(subject("plain"))
    together = torch.cat([snapshot.part("train"), snapshot.part("test")])
    assert sorted(together.tolist()) == list(range(P * P))
    with pytest.raises(InterpError, match="must be train, test or all, got 'valid'"):
        snapshot.part("valid")
    whole = Snapshot(replace(snapshot.subject, task=ModularArithmetic(P, train_fraction=1.0).fit(snapshot.model)))
    assert list(whole.parts) == ["train"]
    with pytest.raises(MissingCapability, match="no test examples"):
        whole.part("test")


@pytest.mark.parametrize(("loss", "answers"), [("hinge", True), ("regression", False)])
def test_correct_is_the_criterions_word(loss: str, answers: bool) -> None:
    """A loss without correct answers says so; any other judges every example."""
    inputs = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([1, -1, 1, -1, 1, -1]) if answers else torch.randn(6, 1, dtype=torch.float64)
    model = HookedMLP(MLPConfig((4,), 1, d_in=3)).double().init_weights(0)
    snapshot = Snapshot(Subject(loss, model, Examples(inputs, labels, loss=loss).fit(model)))
    if answers:
        right = model(inputs)[:, 0].sign() == labels
        assert torch.equal(snapshot.correct, right)
        return
    with pytest.raises(
        MissingCapability, match="needs answers that are correct or wrong; the loss regression has none"
    ):
        _ = snapshot.correct


def test_of_another_kind() -> None:
    """A model is a subject without a task; anything else is refused with the way to a subject."""
    assert Snapshot(make("plain")).weights.keys() == dict(make("plain").named_parameters()).keys()
    for other, way in (
        ("model.pt", r"interp\.load"),
        (torch.nn.Linear(2, 2), r"interp\.wrap"),
        (Subject, "the class Subject"),
    ):
        with pytest.raises(InterpError, match=f"a Subject is needed, got.*{way}"):
            Snapshot(other)  # type: ignore[arg-type]


def test_without_a_task() -> None:
    """Weights are there; whatever needs examples says how to give a task."""
    snapshot = Snapshot(Subject("bare", make("plain")))
    assert snapshot.weights.keys() == dict(snapshot.model.named_parameters()).keys()
    for ask in ("logits", "hidden", "losses", "correct", "parts"):
        with pytest.raises(MissingCapability, match="needs a task, and none is known"):
            getattr(snapshot, ask)


def test_embeddings() -> None:
    """The operands' rows, without ``=``; all where the task does not say; a table per operand; none of vectors."""
    one = subject("plain")
    assert torch.equal(Snapshot(one).embeddings["embed.W_E"], one.model.W_E[:P])
    assert len(Snapshot(replace(one, task=None)).embeddings["embed.W_E"]) == P + 1
    assert len(Snapshot(subject("per operand")).embeddings) == 2
    with pytest.raises(MissingCapability, match="without an embedding"):
        _ = Snapshot(parity("hinge")).embeddings


def test_matrices_hold_every_matrix_once() -> None:
    """Heads and operands one by one: as many numbers as all parameters that are not biases or gains."""
    for name in CONFIGS:
        weights = {n: p.detach() for n, p in make(name).named_parameters()}
        found = dict(matrices(weights))
        assert all(m.ndim == 2 for m in found.values())
        biases = sum(w.numel() for n, w in weights.items() if n.split(".")[-1].startswith(("b", "w")))
        assert sum(m.numel() for m in found.values()) + biases == sum(w.numel() for w in weights.values()), name
    assert not is_matrix("blocks.0.attn.b_Q", torch.ones(3, 4))
    assert is_matrix("blocks.0.attn.W_Q", torch.ones(3, 4))


def test_share() -> None:
    """Made once, None too; an error is not kept."""
    snapshot, made = Snapshot(subject("plain")), []
    assert [snapshot.share("a", lambda: made.append(1)) for _ in range(3)] == [None] * 3
    assert len(made) == 1
    with pytest.raises(ZeroDivisionError):
        snapshot.share("b", lambda: 1 // 0)
    assert snapshot.share("b", lambda: 5) == 5


def test_forgotten() -> None:
    """Nothing holds a snapshot's activations once it is gone."""
    snapshot = Snapshot(subject("plain"))
    gone = weakref.ref(next(iter(snapshot.hidden.values())))
    del snapshot
    assert gone() is None
