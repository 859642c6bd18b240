"""Series of checkpoints: folders of steps and run directories, in order, read one at a time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import interp
from interp.checkpoints import source
from interp.checkpoints.formats import reading as formats
from interp.errors import InterpError, UnreadableFile
from interp.hooked import HookedMLP, MLPConfig
from interp.series import CheckpointSeries, Entry
from tests.conftest import DEMO

CONFIG = MLPConfig((4,), 3, d_vocab=3, d_embed=2)
TASK = interp.ModularArithmetic(3, seed=5)


def model(seed: int) -> HookedMLP:
    return HookedMLP(CONFIG).init_weights(seed)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


def write_steps(folder: Path, names: Sequence[str], seeds: Sequence[int] | None = None) -> Path:
    """One checkpoint per name; its seed, unless given, is its place in the list."""
    for place, name in enumerate(names):
        interp.save(model(place if seeds is None else seeds[place]), folder / name)
    return folder


def write_run(folder: Path, run: Any = None, metrics: str | bytes | None = None) -> Path:
    """A run directory of two steps."""
    write_steps(folder / "checkpoints", ["step_00010.safetensors", "step_00020.safetensors"])
    content = {"task": interp_task()} if run is None else run
    (folder / "run.json").write_text(content if isinstance(content, str) else json.dumps(content))
    if metrics is not None:
        (folder / "metrics.jsonl").write_bytes(metrics.encode() if isinstance(metrics, str) else metrics)
    return folder


def interp_task() -> dict[str, Any]:
    from interp.tasks import task_to_dict

    return task_to_dict(TASK)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read, in order."""
    names: list[str] = []

    def read(path: Path) -> formats.Contents:
        names.append(path.name)
        return formats.read(path)

    monkeypatch.setattr(source, "read", read)
    return names


def test_a_folder_is_ordered_by_step_and_not_by_name(tmp_path: Path) -> None:
    """``step_9`` comes before ``step_10``; the last is the subject's model."""
    names = ["step_100.safetensors", "step_9.safetensors", "step_10.safetensors"]
    subject = interp.load(write_steps(tmp_path, names), device="cpu")
    assert subject.series is not None
    assert subject.series.steps == [9, 10, 100]
    assert all(same(m, model(seed)) for m, seed in zip(subject.series, (1, 2, 0), strict=True))
    assert subject.step == 100
    assert same(subject.model, model(0))


@pytest.mark.parametrize(
    "pattern", ["step_{:05d}.safetensors", "ckpt-{}.safetensors", "{}.safetensors", "run2_epoch{}.safetensors"]
)
def test_names_that_carry_a_step(pattern: str, tmp_path: Path) -> None:
    """The last number of a name is its step."""
    folder = write_steps(tmp_path, [pattern.format(step) for step in (300, 20)])
    assert interp.load(folder, device="cpu").series.steps == [20, 300]


def test_a_value_in_a_name_is_not_its_step(tmp_path: Path) -> None:
    """Lightning and others write a metric behind the step; a step is asked for, or found, but never 0 for both."""
    folder = write_steps(tmp_path, ["epoch_10_loss_0.52.safetensors", "epoch_20_loss_0.41.safetensors"])
    assert interp.load(folder, device="cpu").series.steps == [10, 20]


def test_steps_go_before_epochs_in_a_name(tmp_path: Path) -> None:
    """As they do inside a file, in whatever order they stand."""
    folder = write_steps(tmp_path, ["step_100_epoch_1.safetensors", "epoch_1_step_200.safetensors"])
    assert interp.load(folder, device="cpu").series.steps == [100, 200]


def test_formats_may_be_mixed_in_a_folder(tmp_path: Path) -> None:
    """Torch files of one chain, old and new."""
    states = [torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)).state_dict() for _ in range(2)]
    torch.save(states[0], tmp_path / "step_1.pt")
    torch.save(states[1], tmp_path / "step_2.pth", _use_new_zipfile_serialization=False)
    series = interp.load(tmp_path, device="cpu").series
    assert [torch.equal(m.layers[0].W, s["0.weight"].T) for m, s in zip(series, states, strict=True)] == [True, True]


def test_opening_200_steps_reads_one(tmp_path: Path, reads: list[str]) -> None:
    """The folder is listed; only the model that is asked for is read."""
    write_steps(tmp_path, ["step_000.safetensors"])
    for step in range(1, 200):
        shutil.copyfile(tmp_path / "step_000.safetensors", tmp_path / f"step_{step:03d}.safetensors")
    series = interp.load(tmp_path, device="cpu").series
    assert series is not None
    assert len(series) == 200
    assert reads == ["step_199.safetensors"]
    series.at(50)
    assert reads == ["step_199.safetensors", "step_050.safetensors"]
    assert sum(1 for _ in series) == 200
    assert len(reads) == 202


def test_a_step_is_chosen_by_its_number(tmp_path: Path) -> None:
    """In load and in the series; positions count from either end."""
    folder = write_steps(tmp_path, ["step_0.safetensors", "step_50.safetensors", "step_90.safetensors"])
    subject = interp.load(folder, step=0, device="cpu")
    assert subject.step == 0
    assert same(subject.model, model(0))
    assert same(subject.series.at(50), model(1))
    assert same(subject.series[-1], model(2))
    assert subject.provenance.path.endswith("step_0.safetensors")


@pytest.mark.parametrize(("asked", "nearest"), [(1, 0), (60, 50), (10**6, 90), (-5, 0)])
def test_a_step_that_was_not_kept_names_the_nearest(asked: int, nearest: int, tmp_path: Path) -> None:
    """From load and from the series alike."""
    folder = write_steps(tmp_path, ["step_0.safetensors", "step_50.safetensors", "step_90.safetensors"])
    for ask in (lambda: interp.load(folder, step=asked), lambda: interp.load(folder, device="cpu").series.at(asked)):
        with pytest.raises(InterpError, match=f"no checkpoint at step {asked}; the nearest is at {nearest} "):
            ask()


def test_a_step_that_occurs_twice_is_told(tmp_path: Path) -> None:
    """The first file by name is used, both are named; a series that is built by hand refuses it."""
    subject = interp.load(write_steps(tmp_path, ["step_1.safetensors", "step_01.safetensors", "step_2.safetensors"]))
    assert subject.series is not None
    assert [e.path.name for e in subject.series.entries] == ["step_01.safetensors", "step_2.safetensors"]
    told = "step 1 occurs more than once: step_01.safetensors is used, step_1.safetensors is left out"
    assert told in subject.provenance.notes
    with pytest.raises(InterpError, match=r"step 1 occurs more than once.*a.*b"):
        CheckpointSeries((Entry(1, Path("a")), Entry(1, Path("b"))), lambda entry: model(0))


def test_entries_out_of_order_are_an_error() -> None:
    """A series that someone builds by hand keeps the same rules."""
    entries = (Entry(5, Path("a")), Entry(1, Path("b")))
    with pytest.raises(InterpError, match="order of their steps"):
        CheckpointSeries(entries, lambda entry: model(0))


def test_repeated_finds_steps_with_equal_weights(tmp_path: Path) -> None:
    """Bit for bit: a sign of a run that stood still."""
    names = [f"step_{i}.safetensors" for i in range(6)]
    series = interp.load(write_steps(tmp_path, names, seeds=[0, 1, 0, 2, 1, 0]), device="cpu").series
    assert series.repeated() == [[0, 2, 5], [1, 4]]


def test_one_changed_entry_is_no_repetition(tmp_path: Path) -> None:
    """The smallest step that float32 knows, and the sign of a zero."""
    for step, change in enumerate((lambda w: w, lambda w: torch.nextafter(w, w + 1))):
        altered = model(0)
        with torch.no_grad():
            altered.unembed.W_U[0, 0] = change(altered.unembed.W_U[0, 0])
        interp.save(altered, tmp_path / f"step_{step}.safetensors")
    assert interp.load(tmp_path, device="cpu").series.repeated() == []


def test_a_series_inside_one_file(saved: Callable) -> None:
    """Steps from the list beside them, in their order; each entry has its path inside the file."""
    states = [{"0.weight": torch.ones(2, 3) * i, "0.bias": torch.ones(2)} for i in range(3)]
    path = saved({"state_dicts": states, "steps": [30, 10, 20]})
    subject = interp.load(path, device="cpu")
    assert subject.series.steps == [10, 20, 30]
    assert [m.W_U[0, 0].item() for m in subject.series] == [1, 2, 0]
    assert (subject.step, subject.provenance.key) == (30, "state_dicts/0")
    assert interp.load(path, step=20, device="cpu").model.W_U[0, 0].item() == 2


def test_folders_without_checkpoints(tmp_path: Path) -> None:
    """Empty, or of something else, whose files are named."""
    with pytest.raises(UnreadableFile, match="it holds: nothing"):
        interp.load(tmp_path)
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(UnreadableFile, match=r"no run\.json.*it holds: holiday\.jpg"):
        interp.load(tmp_path)


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (["ckpt_1e3.safetensors", "ckpt_5e3.safetensors", "ckpt_2e4.safetensors"], [1000, 5000, 20000]),
        (["step-2.5k.safetensors", "step-10k.safetensors", "step-1M.safetensors"], [2500, 10_000, 1_000_000]),
        (["epoch=0-step=157.safetensors", "epoch=10-step=1727.safetensors"], [157, 1727]),
        (["seed3_step100.safetensors", "seed3_step20.safetensors"], [20, 100]),
    ],
)
def test_steps_as_people_write_them(names: list[str], steps: list[int], tmp_path: Path) -> None:
    """Powers of ten, thousands and millions, and the word beside the number."""
    assert interp.load(write_steps(tmp_path, names), device="cpu").series.steps == steps


def test_bare_numbers_are_steps_with_a_note(tmp_path: Path) -> None:
    """``net_100`` only looks like a step."""
    subject = interp.load(write_steps(tmp_path, ["net_100.safetensors", "net_20.safetensors"]), device="cpu")
    assert subject.series.steps == [20, 100]
    assert any("are read as steps" in note for note in subject.provenance.notes)


@pytest.mark.parametrize(
    "names", [["seed0.pt", "seed1.pt"], ["width_8.pt", "width_16.pt"], ["a.pt", "b.pt"], ["v1.pt", "v2.pt"]]
)
def test_numbers_of_something_else_are_no_steps(names: list[str], tmp_path: Path) -> None:
    """Networks of other seeds are not one run."""
    for name in names:
        torch.save({"0.weight": torch.ones(2, 3)}, tmp_path / name)
    with pytest.raises(UnreadableFile, match="neither their names nor the files say at which steps"):
        interp.load(tmp_path)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["step_100_seed0.pt", "step_100_seed1.pt"], "several runs, which differ in seed"),
        (["wd0.1_step100.pt", "wd1.0_step200.pt"], "several runs, which differ in wd"),
        (["mlp_784_100_10.pt", "mlp_784_200_10.pt"], "neither their names nor the files say at which steps"),
        (["net_2024-01-05_12-30-00.pt", "net_2024-01-05_12-45-10.pt"], "neither their names nor the files say"),
        (["model-00001-of-00002.bin", "model-00002-of-00002.bin"], "pieces of one checkpoint .* without the index"),
        (["consolidated.00.pth", "consolidated.01.pth"], "pieces of one checkpoint"),
    ],
)
def test_numbers_that_are_no_steps_make_no_series(names: list[str], why: str, tmp_path: Path) -> None:
    """Seeds and settings beside a step, sizes, dates, and pieces of one checkpoint."""
    for seed, name in enumerate(names):
        torch.save(states(None, seed)["state_dict"], tmp_path / name)
    with pytest.raises(UnreadableFile, match=why):
        interp.load(tmp_path)


def test_a_piece_of_a_checkpoint_is_not_read_as_a_whole(tmp_path: Path) -> None:
    """It would be a smaller network; what stands for the whole is named."""
    for name in ("model-00001-of-00002.bin", "model-00002-of-00002.bin"):
        torch.save(states(None, 0)["state_dict"], tmp_path / name)
    (tmp_path / "pytorch_model.bin.index.json").write_text("{}")
    with pytest.raises(UnreadableFile, match=r"one piece of a checkpoint; name .*index\.json"):
        interp.load(tmp_path / "model-00001-of-00002.bin")


@pytest.mark.parametrize(
    "names",
    [
        ["step100/model.pt", "step200/model.pt"],
        ["checkpoint-100/pytorch_model.bin", "checkpoint-200/pytorch_model.bin"],
        ["global_step100/mp_rank_00_model_states.pt", "global_step200/mp_rank_00_model_states.pt"],
    ],
)
def test_folders_of_steps_with_the_state_of_the_training(names: list[str], tmp_path: Path) -> None:
    """As accelerate, DeepSpeed and loops of one's own write them; the optimizer beside the weights is no checkpoint."""
    for seed, name in enumerate(names):
        (tmp_path / name).parent.mkdir()
        torch.save(states(None, seed)["state_dict"], tmp_path / name)
        for beside in (
            "optimizer.bin",
            "scheduler.bin",
            "random_states_0.pkl",
            "zero_pp_rank_0_mp_rank_00_optim_states.pt",
        ):
            torch.save({"step": 1}, (tmp_path / name).parent / beside)
    assert interp.load(tmp_path, device="cpu").series.steps == [100, 200]
    one = interp.load((tmp_path / names[0]).parent, device="cpu")
    assert torch.equal(one.model.W_U.T, states(None, 0)["state_dict"]["0.weight"])
    assert any("left out: by name the state of the training" in note for note in one.provenance.notes)


def test_nanogpts_own_words_for_step_and_settings_are_known(tmp_path: Path) -> None:
    """``iter_num`` is its step, not the number in ckpt2.pt; ``model_args`` has the heads, ``config`` the rest."""
    from tests.interp.checkpoints.written_transformers import HEADS, NanoGPT

    held = {"model": NanoGPT().state_dict(), "iter_num": 2000, "model_args": {"n_head": HEADS}, "config": {"lr": 0.1}}
    torch.save(held, tmp_path / "ckpt2.pt")
    subject = interp.load(tmp_path / "ckpt2.pt", device="cpu")
    assert subject.step == 2000
    assert subject.provenance.config == {"n_head": HEADS, "lr": 0.1}


def states(step: int | None, seed: int) -> dict[str, Any]:
    weights = {"0.weight": torch.randn(2, 3, generator=torch.Generator().manual_seed(seed)), "0.bias": torch.ones(2)}
    return {"state_dict": weights, **({} if step is None else {"global_step": step})}


@pytest.mark.parametrize(
    ("step", "seed", "note", "steps"),
    [
        (None, 1, "last.ckpt is left out: it is a copy of step_20.ckpt", [10, 20]),
        (None, 0, "last.ckpt is left out: it is a copy of step_10.ckpt", [10, 20]),
        (20, 1, "last.ckpt is left out: it is a copy of step_20.ckpt", [10, 20]),
        (20, 5, "last.ckpt is left out: it says step 20, as step_20.ckpt does, with other weights", [10, 20]),
        (15, 5, "last.ckpt is step 15, as it states itself", [10, 15, 20]),
        (None, 5, "last.ckpt is left out of the series: neither its name nor the file says", [10, 20]),
    ],
)
def test_a_file_without_a_number_beside_numbered_ones(
    step: int | None, seed: int, note: str, steps: list[int], tmp_path: Path
) -> None:
    """Its step from inside, or it is a copy, or it is left out; the note says which."""
    torch.save(states(None, 0), tmp_path / "step_10.ckpt")
    torch.save(states(None, 1), tmp_path / "step_20.ckpt")
    torch.save(states(step, seed), tmp_path / "last.ckpt")
    subject = interp.load(tmp_path, device="cpu")
    assert subject.series.steps == steps
    assert any(n.startswith(note) for n in subject.provenance.notes), subject.provenance.notes


def test_names_without_numbers_take_their_steps_from_inside(tmp_path: Path) -> None:
    """All of them state one."""
    for name, step in (("best.ckpt", 7), ("last.ckpt", 9)):
        torch.save(states(step, step), tmp_path / name)
    assert interp.load(tmp_path, device="cpu").series.steps == [7, 9]


def test_an_unknown_step_is_not_0(saved: Callable) -> None:
    """Neither in the Subject nor in what `inspect` says."""
    layer = {"0.weight": torch.ones(2, 3), "0.bias": torch.ones(2)}
    path = saved(layer)
    subject = interp.load(path, device="cpu")
    assert subject.step is None
    assert ("step", "unknown") in subject.rows()
    assert interp.inspect(path).facts["step"] == "unknown"
    assert interp.load(saved({"model": layer, "step": 0}), device="cpu").step == 0


def test_a_half_written_file_is_no_step(tmp_path: Path) -> None:
    """What `save` leaves while it writes is passed over."""
    write_steps(tmp_path, ["step_1.safetensors", "step_2.safetensors"])
    (tmp_path / ".step_3.safetensors.abc.partial").write_bytes(b"half")
    assert interp.load(tmp_path, device="cpu").series.steps == [1, 2]


def test_a_damaged_step_is_named_when_it_is_read(tmp_path: Path) -> None:
    """The others can still be looked at."""
    write_steps(tmp_path, ["step_1.safetensors", "step_2.safetensors", "step_3.safetensors"])
    (tmp_path / "step_2.safetensors").write_bytes(b"gone")
    series = interp.load(tmp_path, device="cpu").series
    assert same(series[0], model(0))
    with pytest.raises(UnreadableFile, match=r"step_2\.safetensors"):
        series.at(2)


def test_the_demo_run() -> None:
    """A real run directory: its task, its curves and its twelve steps."""
    subject = interp.load(DEMO, device="cpu")
    assert subject.series.steps == [0, 200, 600, 1200, 1800, 2400, 3000, 3400, 3800, 4400, 6000, 8000]
    assert subject.task == interp.ModularArithmetic(53, train_fraction=0.46, seed=2)
    first = json.loads((DEMO / "metrics.jsonl").read_text().splitlines()[0])
    assert subject.curves["train_loss"][0] == (0, first["train_loss"])
    assert set(subject.curves) == {"train_loss", "test_loss", "train_accuracy", "test_accuracy"}
    assert subject.name == json.loads((DEMO / "run.json").read_text())["name"]


def test_a_run_directory(tmp_path: Path) -> None:
    """The task from run.json, curves of the first member from metrics.jsonl."""
    rows = [{"step": s, "member": m, "train_loss": 3.0 - s - m, "note": "x"} for s in (0, 1) for m in (0, 1)]
    subject = interp.load(write_run(tmp_path, metrics="".join(json.dumps(row) + "\n" for row in rows)), device="cpu")
    assert subject.task == interp.ModularArithmetic(3, seed=5, equals_token=False)
    assert subject.curves == {"train_loss": [(0, 3.0), (1, 2.0)]}
    assert subject.series.steps == [10, 20]
    assert subject.warnings == []


def test_a_task_that_is_given_goes_before_that_of_the_run(tmp_path: Path) -> None:
    """As a spec."""
    assert interp.load(write_run(tmp_path), task="modular:p=3,seed=9", device="cpu").task.seed == 9


RUNS = {"no JSON": "{", "a list": "[]", "an unknown task": {"task": {"name": "x"}}, "too deep": "[" * 100_000,
        "a task of no sense": {"task": {"name": "modular", "p": "x"}}}  # fmt: skip


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_damaged_run_is_an_error(run: Any, tmp_path: Path) -> None:
    """Of the user's file, so it is ours to explain."""
    with pytest.raises(InterpError):
        interp.load(write_run(tmp_path, run=run), device="cpu")


METRICS = {
    "half a line": b'{"step": 0, "train_loss": 1.0}\n{"st\n',
    "a row without a step": b'{"train_loss": 1.0}\n',
    "a row that is a list": b"[1]\n",
    "a step of text": b'{"step": "a", "train_loss": 1.0}\n',
    "bytes that are not text": b"\xff\n",
}


@pytest.mark.parametrize("metrics", METRICS.values(), ids=METRICS)
def test_damaged_metrics_name_the_file(metrics: bytes, tmp_path: Path) -> None:
    """Whatever is wrong, the message says where."""
    with pytest.raises(InterpError, match=r"metrics\.jsonl"):
        interp.load(write_run(tmp_path, metrics=metrics), device="cpu")


def test_a_last_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    """A run can be looked at while it trains, and after a kill."""
    whole = b'{"step": 0, "train_loss": 1.0}\n{"step": 10, "train_loss": 0.5}\n'
    subject = interp.load(write_run(tmp_path, metrics=whole + b'{"step": 20, "tra'), device="cpu")
    assert subject.curves["train_loss"] == [(0, 1.0), (10, 0.5)]


def test_a_config_beside_the_file_is_picked_up(saved: Callable, tmp_path: Path) -> None:
    """``cfg.json``; what the file itself says goes before it."""
    (tmp_path / "cfg.json").write_text('{"act_fn": "tanh", "p": 7}')
    state = {
        "0.weight": torch.ones(4, 3),
        "0.bias": torch.ones(4),
        "1.weight": torch.ones(2, 4),
        "1.bias": torch.ones(2),
    }
    subject = interp.load(saved({"model": state, "config": {"p": 5}}), device="cpu")
    assert subject.provenance.config == {"act_fn": "tanh", "p": 5}
    assert subject.model.config.act_fn == "tanh"
