"""Bad input: one message that says what, where and what to do, exit code 2, and nothing written.

The fixture ``refused`` checks the code, the absence of a traceback, and that the working folder is as it was.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import interp
from tests.interp.cli.console import Refused, Run, make_mlp, snapshot

# what to do: an imperative, an option to give, or the names to choose from
ADVICE = re.compile(
    r"\b(copy|save|check|choose|give|use|name|write|remove|rename|convert)\b|--\w|did you mean|nearest|known(:| are)",
    re.IGNORECASE,
)
ONLY = ("--only", "weights,performance")


def assert_holds(message: str, *parts: str) -> None:
    """The message has every part: what is wrong, and where."""
    missing = [part for part in parts if part not in message]
    assert not missing, f"{missing} not in: {message}"


def advises(message: str) -> None:
    """The message says what to do."""
    assert ADVICE.search(message), f"it does not say what to do: {message}"


class Call:
    """Pickles as a call of ``os.system`` that would leave a file behind."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch RAN",)


def half(source: str, target: str, keep: float = 0.5) -> Callable[[Path], None]:
    """Write the first part of a file under another name."""

    def write(folder: Path) -> None:
        content = (folder / source).read_bytes()
        (folder / target).write_bytes(content[: int(len(content) * keep)])

    return write


def flipped(source: str, target: str, inside: bytes) -> Callable[[Path], None]:
    """Copy a file with the bits of sixteen bytes inverted, from where ``inside`` stands."""

    def write(folder: Path) -> None:
        content = bytearray((folder / source).read_bytes())
        start = content.index(inside)
        content[start : start + 16] = bytes(b ^ 0xFF for b in content[start : start + 16])
        (folder / target).write_bytes(content)

    return write


def text(target: str, content: str = "") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (folder / target).write_text(content)

    return write


def legacy(folder: Path) -> None:
    torch.save({"a.weight": torch.ones(30, 30)}, folder / "whole.pt", _use_new_zipfile_serialization=False)
    half("whole.pt", "cut.pt")(folder)


def numpy(folder: Path) -> None:
    np.savez(folder / "whole.npz", **{"a.weight": np.ones((30, 30))})
    half("whole.npz", "cut.npz")(folder)


def other_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "x.pt", "w") as archive:
        archive.writestr("word/document.xml", "<w/>")


def images(folder: Path) -> None:
    for name in ("images/a.png", "images/b.png"):
        text(name, "PNG")(folder)


def nameless(folder: Path) -> None:
    for name in ("mine/first.safetensors", "mine/second.safetensors"):
        interp.save(make_mlp(seed=0), folder / name)


def last_step_cut(folder: Path) -> None:
    half("steps/step_20.safetensors", "steps/step_30.safetensors")(folder)


def two_sets(folder: Path) -> None:
    torch.save({"encoder": {"a.weight": torch.ones(2, 3)}, "head": {"b.weight": torch.ones(2, 3)}}, folder / "two.pt")


def first_weight(folder: Path) -> bytes:
    return torch.load(folder / "chain.pt")["model"]["embed.weight"].numpy().tobytes()[:16]


def bad_tensor(folder: Path) -> None:
    flipped("chain.pt", "bad.pt", first_weight(folder))(folder)


# name of the row: what writes the file, the source that is given, and what the message must hold
FILES: dict[str, tuple[Callable[[Path], None], str, tuple[str, ...]]] = {
    "missing": (lambda _: None, "gone.pt", ("no file", "gone.pt")),
    "missing folder": (lambda _: None, "gone/model.pt", ("no file", "gone/model.pt")),
    "empty torch": (text("zero.pt"), "zero.pt", ("zero.pt", "empty")),
    "empty safetensors": (text("zero.safetensors"), "zero.safetensors", ("zero.safetensors", "empty")),
    "cut safetensors": (half("mlp.safetensors", "cut.safetensors"), "cut.safetensors", ("cut.safetensors", "truncated")),
    "stub of a safetensors": (
        half("mlp.safetensors", "cut.safetensors", 0.004), "cut.safetensors", ("cannot be read here", "unknown format"),
    ),
    "cut torch": (half("chain.pt", "cut.pt"), "cut.pt", ("cut.pt", "truncated")),
    "cut legacy torch": (legacy, "cut.pt", ("cut.pt", "truncated")),
    "cut npz": (numpy, "cut.npz", ("cut.npz", "truncated")),
    "corrupted header": (flipped("mlp.safetensors", "bad.safetensors", b'"dtype"'), "bad.safetensors", ("corrupted",)),
    "corrupted pickle": (flipped("chain.pt", "bad.pt", b"embed.weight"), "bad.pt", ("bad.pt", "corrupted")),
    "corrupted tensor": (bad_tensor, "bad.pt", ("bad.pt", "corrupted", "checksum")),
    "text": (text("notes.txt", "a b c"), "notes.txt", ("notes.txt", "is a text", "not a checkpoint")),
    "text named pt": (text("notes.pt", "a b c"), "notes.pt", ("notes.pt", "is a text", "not a checkpoint")),
    "another zip": (other_zip, "x.pt", ("x.pt", "zip archive", "word/document.xml")),
    "images": (images, "images", ("images", "without checkpoints", "a.png", ".safetensors")),
    "empty folder": (lambda f: (f / "void").mkdir(), "void", ("void", "nothing")),
    "files without steps": (nameless, "mine", ("mine", "first.safetensors", "step")),
    "last step cut": (last_step_cut, "steps", ("step_30.safetensors", "truncated")),
    "several sets": (two_sets, "two.pt", ("two.pt", "encoder", "head", "--key")),
    "both ways": (lambda _: None, "square.pt", ("square.pt", "--layout linear_chain:orientation=out_in", "in_out")),
}  # fmt: skip


@pytest.mark.parametrize("row", FILES)
def test_files(refused: Refused, work: Path, row: str) -> None:
    """A file or folder that cannot be read, or be read in one way."""
    write, source, parts = FILES[row]
    write(work)
    message = refused("analyze", source, *ONLY)
    assert_holds(message, *parts)
    advises(message)


@pytest.mark.parametrize("command", ["inspect", "analyses", "convert"])
def test_every_command_refuses(refused: Refused, command: str) -> None:
    """The same message from every command that takes a file."""
    target = ["out.safetensors"] if command == "convert" else []
    assert_holds(refused(command, "zero.pt", *target), "no file", "zero.pt")


@pytest.mark.parametrize("save", [torch.save, lambda tree, path: path.write_bytes(pickle.dumps(tree))])
def test_a_pickle_that_runs_code(refused: Refused, work: Path, save: Callable[[object, Path], None]) -> None:
    """Nothing is run; the message names what the file would have called."""
    save({"model": Call()}, work / "evil.pt")
    message = refused("analyze", "evil.pt")
    assert_holds(message, "evil.pt", "posix.system")
    advises(message)


def test_a_call_beside_weights(run: Run, work: Path) -> None:
    """Weights load, the call beside them is not made, and the report says that it stood there."""
    torch.save({"model": torch.load("chain.pt")["model"], "callback": Call()}, work / "evil.pt")
    assert run("analyze", "evil.pt", "--only", "weights").code == 0
    found = json.loads((work / "report" / "result.json").read_text())["provenance"]
    assert found["unknown_classes"] == ["posix.system"]
    assert not (work / "RAN").exists()


def test_an_unknown_layout(refused: Refused, work: Path) -> None:
    """All keys are listed with their shapes, and the nearest layout with what it misses."""
    torch.save({"embed.W_E": torch.ones(8, 4), "pos_embed.W_pos": torch.ones(3, 4), "odd": torch.ones(2)}, "odd.pt")
    message = refused("convert", "odd.pt", "ours.safetensors")
    assert_holds(
        message, "odd.pt", "unknown layout", "nearest is 'transformer_lens'", "unembed.W_U", "blocks.0.attn.W_Q"
    )
    assert_holds(message, "embed.W_E [8, 4]", "pos_embed.W_pos [3, 4]", "odd [2]")


HEADERS: dict[str, str] = {
    "no JSON": "{oops",
    "no config": "{}",
    "unknown kind": '{"config": {"kind": "rnn"}}',
    "unknown task": '{"config": CONFIG, "task": {"name": "modlar", "p": 7}}',
    "a task that is not an object": '{"config": CONFIG, "task": "modular:p=7"}',
    "a step that is not a number": '{"config": CONFIG, "step": "last"}',
    "a width that is text": '{"config": {"kind": "mlp", "hidden": [8], "d_out": "7", "d_vocab": 7, "d_embed": 4}}',
    "another width": '{"config": {"kind": "mlp", "hidden": [8], "d_out": 9, "d_vocab": 7, "d_embed": 4}}',
}


@pytest.mark.parametrize("row", HEADERS)
def test_headers(refused: Refused, work: Path, row: str) -> None:
    """A checkpoint of ours whose header was damaged or edited: the file is named."""
    model = make_mlp(seed=0)
    header = HEADERS[row].replace("CONFIG", json.dumps(model.config.to_dict()))
    save_file({n: p.detach() for n, p in model.named_parameters()}, "ours.safetensors", metadata={"interp": header})
    assert "ours.safetensors" in refused("analyze", "ours.safetensors", *ONLY)


RUN_FILES: dict[str, tuple[str, bytes]] = {
    "run.json, no JSON": ("run.json", b"{oops"),
    "run.json, a list": ("run.json", b"[1]"),
    "run.json, an unknown task": ("run.json", b'{"task": {"name": "modlar", "p": 7}}'),
    "metrics, cut": ("metrics.jsonl", b'{"step": 0, "train_loss": 2.0}\n{"step": 50, "tr\n'),
    "metrics, without steps": ("metrics.jsonl", b'{"train_loss": 2.0}\n'),
    "metrics, a list": ("metrics.jsonl", b"[1]\n"),
    "metrics, no text": ("metrics.jsonl", b"\xff\xfe\n"),
}


@pytest.mark.parametrize("row", RUN_FILES)
def test_run_directories(refused: Refused, work: Path, row: str) -> None:
    """A damaged file of a run directory is named."""
    name, content = RUN_FILES[row]
    interp.save(make_mlp(seed=0), work / "run" / "checkpoints" / "step_0.safetensors")
    (work / "run" / "run.json").write_text("{}")
    (work / "run" / name).write_bytes(content)
    assert f"run/{name}" in refused("analyze", "run", *ONLY)


# name of the row: what follows `interp analyze mlp.safetensors`, and what the message must hold
OPTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "unknown task": (("--task", "modulr:p=7"), ("'modulr'", "did you mean 'modular'")),
    "unknown task option": (("--task", "modular:p=7,operatoin=add"), ("'operatoin'", "did you mean 'operation'")),
    "unknown operation": (("--task", "modular:p=7,operation=ad"), ("'ad'", "did you mean 'add'")),
    "task without its modulus": (("--task", "modular"), ("modular:p=",)),
    "modulus that is not a number": (("--task", "modular:p=seven"), ("p must be", "'seven'")),
    "modulus too large": (("--task", "modular:p=100000"), ("p=100000", "4096")),
    "division by a composite": (("--task", "modular:p=8,operation=divide"), ("prime", "8 is composite")),
    "nothing to train on": (("--task", "modular:p=7,train_fraction=0"), ("train_fraction", "(0, 1]", "got 0")),
    "too little to train on": (("--task", "modular:p=7,train_fraction=0.01"), ("train_fraction 0.01", "49 pairs")),
    "more than everything": (("--task", "modular:p=7,train_fraction=1.5"), ("train_fraction", "1.5")),
    "seed that is not a number": (("--task", "modular:p=7,split=torch,seed=1.5"), ("seed", "1.5")),
    "unknown split": (("--task", "modular:p=7,split=jax"), ("split", "'jax'", "'torch'")),
    "task syntax": (("--task", "modular:p"), ("'p'", "name:key=value")),
    "task option twice": (("--task", "modular:p=7,p=11"), ("'p'", "twice")),
    "missing table": (("--task", "group:table=gone.csv"), ("no table", "gone.csv")),
    "unknown analysis": (("--only", "weights,fuorier"), ("'fuorier'", "did you mean 'fourier'")),
    "unknown analysis in --set": (("--set", "fuorier.top=1"), ("'fuorier'", "did you mean 'fourier'")),
    "unknown option": (("--set", "fourier.tpo=1"), ("'tpo'", "did you mean 'top'")),
    "option of another type": (("--set", "fourier.top=many"), ("fourier.top", "int", "'many'")),
    "option that is none of a few": (("--set", "ablation.value=men"), ("ablation.value", "mean, zero, resample", "'men'")),
    "--set without a value": (("--set", "fourier.top"), ("'fourier.top'", "NAME.OPTION=VALUE")),
    "--set without an analysis": (("--set", "top=3"), ("'top=3'", "NAME.OPTION=VALUE")),
    "unknown hook point": (
        ("--only", "pca", "--set", "pca.site=layers.0.hook_pots"), ("'layers.0.hook_pots'", "layers.0.hook_post")
    ),
    "unknown dtype": (("--dtype", "float46"), ("'float46'", "float64")),
    "unknown device": (("--device", "gpu"), ("'gpu'", "cuda")),
    "device without memory": (("--device", "meta"), ("'meta'",)),
    "step of a single file": (("--step", "7"), ("step 7", "nearest is at 0")),
    "step that is not a number": (("--step", "last"), ("--step", "integer")),
    "seed out of range": (("--seed", "99999999999999999999999"), ("seed",)),
    "unknown layout name": (("--layout", "linearchain"), ("'linearchain'", "did you mean 'linear_chain'")),
    "layout that does not fit": (("--layout", "grokking"), ("grokking", "layers.0.W [8, 8]")),
    "unknown key": (("--key", "model"), ("mlp.safetensors", "'model'")),
    "unknown flag": (("--ony", "weights"), ("--ony", "--only")),
}  # fmt: skip


@pytest.mark.parametrize("row", OPTIONS)
def test_options(refused: Refused, row: str) -> None:
    """An option that is wrong for the file, or for any."""
    argv, parts = OPTIONS[row]
    assert_holds(refused("analyze", "mlp.safetensors", *argv), *parts)


FOREIGN: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "key": (("chain.pt", "--key", "nodel"), ("chain.pt", "'nodel'", "did you mean 'model'")),
    "layout option": (("chain.pt", "--layout", "linear_chain:orient=x"), ("'orient'", "did you mean 'orientation'")),
    "layout option's value": (("chain.pt", "--layout", "linear_chain:orientation=up"), ("'up'", "out_in, in_out")),
    "activation": (("chain.pt", "--layout", "linear_chain:act_fn=rleu"), ("'rleu'", "did you mean 'relu'")),
    "activation that is a number": (("chain.pt", "--layout", "linear_chain:act_fn=3"), ("act", "3")),
    "step": (("steps", "--step", "14"), ("step 14", "nearest is at 10")),
}


@pytest.mark.parametrize("source", ["mlp.safetensors", "chain.pt", "steps"])
def test_a_task_that_does_not_fit(refused: Refused, source: str) -> None:
    """Both sides are named, tokens and outputs, and what to give instead."""
    message = refused("analyze", source, "--task", "modular:p=11")
    assert_holds(message, "p=11", "embeds 7 tokens, the task has 11", "7 outputs, the task has 11 answers")
    advises(message)


@pytest.mark.parametrize("row", FOREIGN)
def test_options_of_foreign_files(refused: Refused, row: str) -> None:
    """The same for a stranger's file and for a series."""
    argv, parts = FOREIGN[row]
    assert_holds(refused("analyze", *argv), *parts)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_here(refused: Refused) -> None:
    """CUDA on a machine without it."""
    assert_holds(
        refused("analyze", "mlp.safetensors", "--device", "cuda:0"), "'cuda:0'", "does not have the device", "cpu"
    )


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has MPS")
def test_mps_that_is_not_here(refused: Refused) -> None:
    """MPS on a machine without it."""
    assert_holds(refused("analyze", "mlp.safetensors", "--device", "mps"), "'mps'")


def test_nan_is_loaded_and_flagged_in_red(run: Run, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN and infinity are no reason to refuse a file, and a warning in red says which parameter holds how many."""
    model = make_mlp(seed=0)
    with torch.no_grad():
        model.layer(0).W[0, :2] = float("nan")
        model.W_U[1, 1] = float("inf")
    interp.save(model, work / "nan.safetensors")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    ran = run("analyze", "nan.safetensors", "--only", "weights")
    assert ran.code == 0
    assert "\x1b[31mWARNING\x1b[0m layers.0.W has 2 entries that are NaN or infinite" in ran.err
    assert "\x1b[31mWARNING\x1b[0m unembed.W_U has 1 entries that are NaN or infinite" in ran.err


def test_everything_to_train_on(run: Run, work: Path) -> None:
    """A split may leave nothing to test on: there is no test loss then, and nothing else changes."""
    assert run("analyze", "chain.pt", "--task", "modular:p=7,train_fraction=1", *ONLY).code == 0
    found = json.loads((work / "report" / "result.json").read_text())["analyses"]["performance"]["metrics"]
    assert (found["train_total"], found["test_total"], found["test_loss"]) == (49, 0, None)


NAMES = ("[red].pt", "a[/red]b.pt", "[bold]x[/].pt", "back\\[red].pt", "a:x:b.pt", "{x}%s.pt", "ünï ☃  雪.pt", "-.pt")


@pytest.mark.parametrize("name", NAMES)
def test_names_are_printed_literally(refused: Refused, run: Run, work: Path, name: str) -> None:
    """Markup, emoji codes, unicode and spaces in a file's name reach the reader as they are."""
    refused("inspect", "--", name)
    assert f"no file at {name}" in run("inspect", "--", name).err
    (work / name).parent.mkdir(exist_ok=True)
    torch.save({"fc.weight": torch.ones(5, 3), "out.weight": torch.ones(2, 5)}, work / name)
    assert run("inspect", "--", name).out.splitlines()[0].split(maxsplit=1)[1].rstrip() == name
    ran = run("analyze", "--only", "weights", "--out", f"{name}.report", "--", name)
    assert f"Report: {name}.report/index.html" in ran.out, ran.err
    assert f"{Path(name).name}\n" in ran.out


@pytest.mark.parametrize("name", ["[red]a[/red]", "[/]", "a:x:b", "<b>"])
def test_tensor_names_are_printed_literally(refused: Refused, run: Run, name: str) -> None:
    """So do the names of tensors, in the listing and in the message on an unknown layout."""
    torch.save({name: torch.ones(2, 3)}, "odd.pt")
    assert f"{name} [2, 3]" in refused("convert", "odd.pt", "ours.safetensors")
    assert any(line.split() == [name, "2x3", "float32", "cpu"] for line in run("inspect", "odd.pt").out.splitlines())


@pytest.mark.parametrize(
    "argv", [("--only", "[red]x"), ("--set", "[/red].a=1"), ("--task", "[/]"), ("--layout", ":x:")]
)
def test_options_are_printed_literally(refused: Refused, argv: tuple[str, str]) -> None:
    """What the user typed comes back as typed."""
    assert argv[1].split(".a=")[0] in refused("analyze", "mlp.safetensors", *argv)


def test_the_snapshot_sees_a_change(work: Path) -> None:
    """The guard of all these tests: a new file, a new folder and a changed byte each show."""
    before = snapshot(work)
    changes = [
        lambda: (work / "new").mkdir(),
        lambda: (work / "new" / "x").write_text(""),
        lambda: (work / "mlp.safetensors").write_text(""),
    ]
    for change in changes:
        change()
        assert snapshot(work) != before
        before = snapshot(work)
