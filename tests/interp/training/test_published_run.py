"""A run of Liu et al. 2022 replayed from the start that its code makes: `toy_addition_start.npz` and files like it.

What their notebook prints (ejmichaud/grokking-squared, toy/add_tutorial.ipynb) is compared with what a run measures. Their
step s is measured after its update, that is after s + 1 updates of ours; losses are before it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import interp
import probes
from interp.errors import InterpError
from interp.scores import score
from interp.tasks import ToyAddition, make_task
from tests.interp.training.ensembles import weights_of

PRINTED = {0: 0.98126626, 1000: 0.43041232, 2000: 0.10177844, 3000: 0.02234226, 4000: 0.00274835}
Arrays = dict[str, Any]


def start(p: int = 4, d: int = 2, widths: tuple[int, ...] = (6, 5), seed: int = 0) -> Arrays:
    """Such a file's arrays, drawn, with its pairs in another order than the task's."""
    draws = np.random.default_rng(seed)
    pairs = [(i, j) for i in range(p) for j in range(i, p)]
    draws.shuffle(pairs)
    found: Arrays = {"embedding": draws.standard_normal((p, d)).astype(np.float32), "pairs": np.array(pairs)}
    found |= {
        "train": draws.permutation(len(pairs))[: len(pairs) // 2],
        "targets": draws.standard_normal((2 * p - 1, 3)),
    }
    for i, (a, b) in enumerate(zip((d, *widths), (*widths, 3), strict=True)):
        found[f"decoder.{i}.weight"] = draws.standard_normal((b, a)).astype(np.float32)
        found[f"decoder.{i}.bias"] = draws.standard_normal(b).astype(np.float32)
    return found


def written(path: Path, **changes: Any) -> Path:
    arrays = {**start(), **changes}
    np.savez(path, **{n: a for n, a in arrays.items() if a is not None})
    return path


def network(arrays: Arrays) -> tuple[nn.Parameter, nn.Sequential]:
    """The embedding and the decoder in plain PyTorch."""
    layers: list[nn.Module] = []
    for i in range(sum(n.endswith(".bias") for n in arrays)):
        weight, bias = (torch.tensor(arrays[f"decoder.{i}.{part}"]).double() for part in ("weight", "bias"))
        layer = nn.Linear(weight.shape[1], weight.shape[0]).double()
        layer.weight.data, layer.bias.data = weight, bias
        layers += [layer, nn.Tanh()]
    return nn.Parameter(torch.tensor(arrays["embedding"]).double()), nn.Sequential(*layers[:-1])


def outputs(arrays: Arrays, embedding: Tensor, decoder: nn.Module, rows: Any) -> tuple[Tensor, Tensor]:
    """Of some pairs, and the vectors that they are to be."""
    pairs = torch.tensor(arrays["pairs"])[torch.as_tensor(rows)]
    return decoder(embedding[pairs[:, 0]] + embedding[pairs[:, 1]]), torch.tensor(arrays["targets"]).double()[
        pairs.sum(1)
    ]


def test_the_file_is_a_network_with_its_task(tmp_path: Path) -> None:
    """Loss and the examples that train by the formula in plain PyTorch."""
    arrays = start()
    subject = interp.load(written(tmp_path / "start.npz"), dtype="float64", device="cpu")
    assert subject.provenance.layout == "toy_addition"
    task = subject.require_task()
    assert isinstance(task, ToyAddition)
    assert task.pairs[task.train_indices].tolist() == arrays["pairs"][arrays["train"]].tolist()
    out, wanted = outputs(arrays, *network(arrays), arrays["train"])
    assert score(task, subject.logits()).train.loss == pytest.approx((out - wanted).square().mean().item(), rel=1e-12)
    again = interp.load(interp.save(subject, tmp_path / "again.safetensors"), device="cpu")
    assert again.task == task


def test_one_call_replays_it(tmp_path: Path) -> None:
    """Rates of its own for embedding and decoder; the split and the targets come with the weights."""
    path, arrays = written(tmp_path / "start.npz"), start()
    run = interp.train(
        "addition:p=4", init=path, decoder_lr=1e-2, lr=3e-2, steps=30, dtype="float64", metrics="every:10", device="cpu",
        out=tmp_path / "run",
    )  # fmt: skip
    path.unlink()
    embedding, decoder = network(arrays)
    rates = [{"params": [embedding], "lr": 3e-2}, {"params": decoder.parameters(), "lr": 1e-2}]
    optimizer, losses = torch.optim.AdamW(rates, weight_decay=0.0), []
    for _ in range(31):
        out, wanted = outputs(arrays, embedding, decoder, arrays["train"])
        loss = (out - wanted).square().mean()
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert run.metrics["train_loss"].tolist() == pytest.approx(losses[::10], rel=1e-10)
    assert interp.resume(run.path, steps=32, device="cpu").plan.task == run.plan.task
    assert run.plan.starts.described[str(path)]["lent"] == "split and targets"


def test_what_the_user_gives_comes_first(tmp_path: Path) -> None:
    """Another split with its targets, other targets, or another loss, which has none."""
    path = written(tmp_path / "start.npz")
    listed = interp.train("addition:p=4", init=path, train_indices=[1, 2], steps=1, device="cpu").plan.task
    assert listed.train_indices.tolist() == [1, 2]
    own = torch.zeros(7, 3)
    assert listed.given is not None
    assert listed.given.targets is not None
    other = interp.train("addition:p=4", init=path, targets=own, steps=1, device="cpu").plan.task
    assert other.given is not None
    assert torch.equal(other.given.targets, own)  # type: ignore[arg-type]
    assert len(other.train_indices) == 5
    with pytest.raises(InterpError, match="has 3 outputs, the task has 7 answers"):
        interp.train("addition:p=4,loss=cross_entropy", init=path, steps=1, device="cpu")
    with pytest.raises(InterpError, match="embeds 4 tokens, the task has 5"):
        interp.train("addition:p=5", init=path, steps=1, device="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": None}, "nearest is 'toy_addition': it also needs train"),
        ({"pairs": np.zeros((9, 2), dtype=int)}, "4 numbers have 10 pairs i <= j and 7 sums, the file has 9 pairs"),
        ({"pairs": np.zeros((10, 2), dtype=int)}, "pairs must list every pair of numbers from 0 to 3 once"),
        ({"pairs": np.full((10, 2), 7)}, "pairs must list every pair"),
        ({"train": np.array([3, 10])}, "train must list rows of pairs, 0 to 9; it reaches to 10"),
        ({"train": np.array([3.0])}, "whole numbers"),
        ({"train": np.array([3, 3])}, "twice"),
        ({"decoder.1.bias": None}, "decoder.1.bias"),
        ({"decoder.1.weight": np.zeros((5, 7))}, r"decoder.1.weight is \[5, 7\] behind a layer of 6"),
        ({"targets": np.zeros((7, 4))}, "the decoder has 3 outputs, targets 4"),
    ],
)
def test_files_that_are_almost_such(changes: Arrays, message: str, tmp_path: Path) -> None:
    path = written(tmp_path / "start.npz", **changes)
    with pytest.raises(InterpError, match=message):
        interp.load(path, device="cpu")


@pytest.fixture(scope="module")
def published(data: Path, tmp_path_factory: pytest.TempPathFactory) -> interp.Run:
    """The first 1,531 updates."""
    out = tmp_path_factory.mktemp("published") / "run"
    schedule = ",".join(map(str, (0, 800, 801, 1000, *range(1125, 1140), *range(1525, 1532))))
    return interp.train(
        "addition:p=10", init=data / "effective_theory" / "toy_addition_start.npz", decoder_lr=1e-4, steps=1531,
        metrics=schedule, checkpoints="0,800,801,1531", device="cpu", out=out,
    )  # fmt: skip


@pytest.mark.real_data
def test_the_published_run(published: interp.Run) -> None:
    """Losses to six digits; train accuracy from their step 1,130, test by 1,530; RQI above 0.95 from 800 by their code."""
    rows = published.metrics.set_index("step")
    for step in (0, 1000):
        assert rows.loc[step, "train_loss"] == pytest.approx(PRINTED[step], abs=5e-7)
    assert rows.index[rows["train_accuracy"] >= 0.9].min() == 1131
    assert rows.index[rows["test_accuracy"] >= 0.9].min() in (1530, 1531)
    assert len(published.plan.task.train_indices) == 45
    passed = {}
    for criterion in ("paper", "code"):
        found = probes.progress(published, ["rqi"], options={"rqi": {"criterion": criterion}})
        passed[criterion] = found.loc[found["value"] > 0.95, "step"].min()
    assert passed["code"] == 801
    assert passed["paper"] != passed["paper"]  # not yet


@pytest.mark.slow
@pytest.mark.real_data
def test_the_published_run_to_its_end(data: Path, tmp_path: Path) -> None:
    """All five printed losses, and both criteria of RQI on the run's checkpoints."""
    run = interp.train(
        "addition:p=10", init=data / "effective_theory" / "toy_addition_start.npz", decoder_lr=1e-4, steps=5000,
        metrics="every:10", checkpoints="every:10", device="cpu", out=tmp_path / "run",
    )  # fmt: skip
    rows = run.metrics.set_index("step")
    for step, loss in PRINTED.items():
        assert rows.loc[step, "train_loss"] == pytest.approx(loss, abs=5e-7)
    assert run.phases().loc[0, ["train_at", "test_at"]].tolist() == [1140, 1530]
    for criterion, step in (("paper", 4870), ("code", 810)):
        found = probes.progress(run, ["rqi"], options={"rqi": {"criterion": criterion}})
        assert found.loc[found["value"] > 0.95, "step"].min() == step, criterion


@pytest.mark.real_data
def test_the_copy_in_the_run_is_the_file(data: Path, published: interp.Run) -> None:
    with np.load(data / "effective_theory" / "toy_addition_start.npz") as arrays:
        assert np.array_equal(weights_of(published, 0, 0)["embed.W_E"].numpy(), arrays["embedding"])
        task = make_task("addition:p=10")
        assert task.pairs[published.plan.task.train_indices].tolist() == arrays["pairs"][arrays["train"]].tolist()
