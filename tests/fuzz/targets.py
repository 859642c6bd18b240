"""What is fuzzed: how to write a good input, how to mutate it, and how to read it."""

from __future__ import annotations

import pickle
import pickletools
import shutil
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

import interp
from interp.checkpoints.formats.reading import read
from tests.fuzz import drawn
from tests.fuzz import mutators as m
from tests.fuzz.drawn import refused
from tests.interp.checkpoints.files import references, weights


@dataclass(frozen=True)
class Target:
    """A reader and its inputs.

    Attributes:
        name: for messages and for ``--target``.
        make: writes good inputs into a folder, once.
        mutate: writes a mutated input into a folder, from the folder of the good ones.
        use: reads it.
        weight: its share of all inputs.
    """

    name: str
    make: Callable[[Path], None]
    mutate: Callable[[Path, Path, Random], Path]
    use: Callable[[Path], Any]
    weight: int = 4


def opened(path: Path) -> None:
    """Read, inspect and load, with all tensors."""
    for ref in references(read(path).tree if path.is_file() else {}):
        ref.load()
    found = interp.inspect(path)
    str(found.facts)
    interp.load(path, device="cpu").provenance.notes.__len__()


def sample() -> dict[str, Any]:
    """A state dict with everything that a file may hold."""
    state: dict[str, Any] = dict(weights())
    coo = torch.sparse_coo_tensor(torch.tensor([[0, 2], [1, 0]]), torch.ones(2), (3, 2), check_invariants=True)
    extra = {"sparse": coo, "half": torch.ones(2, 2).to(torch.float8_e4m3fn), "wide": torch.ones(1, 4).expand(3, 4),
             "array": np.arange(6.0).reshape(2, 3), "shape": torch.Size([2, 3])}  # fmt: skip
    return {"model": state, "config": {"lr": 1e-3, "p": 7, "names": ["a", "b"]}, "step": 10, "extra": extra,
            "train_losses": [3.0, 2.0], "keys": {(1, "a"): {1, 2}, 3: None}}  # fmt: skip


def file_target(
    name: str, file: str, write: Callable[[Path], Any], mutate: Callable[[bytes, Random], bytes], **more: Any
) -> Target:
    """A target of one file, whose bytes are mutated."""

    def changed(good: Path, folder: Path, rng: Random) -> Path:
        (folder / file).write_bytes(mutate((good / file).read_bytes(), rng))
        return folder / file

    return Target(name, lambda folder: write(folder / file), changed, more.pop("use", opened), **more)


def in_archive(mutate: Callable[[str, bytes, Random], bytes]) -> Callable[[bytes, Random], bytes]:
    """A mutation of one member of a zip archive, whose checksums stay right; now and then of the archive itself."""

    def mutated(data: bytes, rng: Random) -> bytes:
        import io

        if rng.random() < 0.2:
            return m.mutated_bytes(data, rng)
        stream = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
            names = old.namelist()
            chosen = next((n for n in names if n.endswith("data.pkl") and rng.random() < 0.8), rng.choice(names))
            for name in names:
                member = old.read(name)
                new.writestr(name, mutate(name, member, rng) if name == chosen else member)
        return stream.getvalue()

    return mutated


def member(name: str, data: bytes, rng: Random) -> bytes:
    return m.mutated_pickle(data, rng) if name.endswith(".pkl") else m.mutated_bytes(data, rng)


def legacy(data: bytes, rng: Random) -> bytes:
    """Five pickles and the bytes of the storages, one of them mutated."""
    import io

    stream, cuts = io.BytesIO(data), [0]
    for _ in range(5):
        list(pickletools.genops(stream))
        cuts.append(stream.tell())
    parts = [data[a:b] for a, b in zip(cuts, [*cuts[1:], len(data)], strict=True)]
    at = rng.choice((3, 3, 3, rng.randrange(len(parts))))
    parts[at] = m.mutated_bytes(parts[at], rng) if at == len(parts) - 1 else m.mutated_pickle(parts[at], rng)
    return b"".join(parts)


def header(data: bytes, rng: Random) -> bytes:
    """A safetensors file with a mutated header of the right length."""
    if rng.random() < 0.3:
        return m.mutated_bytes(data, rng)
    length = struct.unpack("<Q", data[:8])[0]
    text = m.mutated_json_text(data[8 : 8 + length], rng)
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def write_ours(path: Path) -> None:
    model = interp.HookedMLP(interp.MLPConfig((4,), 3, d_vocab=3, d_embed=2)).init_weights(seed=0)
    interp.save(model, path, task=interp.ModularArithmetic(3), step=7)


def write_sharded(folder: Path) -> None:
    from tests.interp.checkpoints.files import write

    write("safetensors (sharded)", folder)


def sharded(good: Path, folder: Path, rng: Random) -> Path:
    shutil.copytree(good, folder, dirs_exist_ok=True)
    index = folder / "model.safetensors.index.json"
    index.write_bytes(m.mutated_json_text(index.read_bytes(), rng))
    return index


def write_distributed(folder: Path) -> None:
    import warnings

    import torch.distributed.checkpoint as dcp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save({"model": weights(), "step": 7}, checkpoint_id=folder)


def distributed(good: Path, folder: Path, rng: Random) -> Path:
    shutil.copytree(good, folder, dirs_exist_ok=True)
    chosen = folder / (".metadata" if rng.random() < 0.8 else "__0_0.distcp")
    mutate = m.mutated_pickle if chosen.name == ".metadata" else m.mutated_bytes
    chosen.write_bytes(mutate(chosen.read_bytes(), rng))
    return folder


def write_msgpack(path: Path) -> None:
    import msgpack

    def extension(value: np.ndarray) -> Any:
        return msgpack.ExtType(1, msgpack.packb((value.shape, value.dtype.name, value.tobytes())))

    tree = {
        "step": 5,
        "params": {"Dense_0": {"kernel": np.ones((3, 2)), "bias": np.zeros(2)}},
        "x": [None, "a" * 40, 1.5],
    }
    path.write_bytes(msgpack.packb(tree, default=extension))


def write_h5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = np.ones((3, 2)), np.zeros(2)
        file.attrs["model_config"] = "{}"


GENOME = """<?xml version="1.0"?><genome id="1"><nodes count="{n}">{nodes}</nodes><links count="{l}">{links}</links></genome>"""


def write_genome(path: Path) -> None:
    kinds = [("in", "x", "identity(x)"), ("in", "y", "identity(x)"), ("in", "d", "identity(x)"), ("in", "bias", "identity(x)"),
             ("hidden", "", "gaussian(x)"), ("out", "ink", "sin(x)")]  # fmt: skip
    nodes = "".join(
        f'<node type="{k}"{f" label={chr(34)}{label}{chr(34)}" if label else ""}><marking branch="1" id="{i}"/>'
        f"<activation>{a}</activation></node>" for i, (k, label, a) in enumerate(kinds)
    )  # fmt: skip
    pairs = [(0, 4), (1, 4), (2, 4), (3, 5), (4, 5)]
    links = "".join(
        f'<link><marking branch="2" id="{i}"/><source branch="1" id="{a}"/><target branch="1" id="{b}"/>'
        f"<weight>{i + 0.5}</weight></link>"
        for i, (a, b) in enumerate(pairs)
    )  # fmt: skip
    path.write_text(GENOME.format(n=len(kinds), nodes=nodes, l=len(pairs), links=links))


def text_bytes(data: bytes, rng: Random) -> bytes:
    """A text file, mutated as a text or as bytes."""
    if rng.random() < 0.3:
        return m.mutated_bytes(data, rng)
    return m.mutated_text(data.decode("utf-8", errors="replace"), rng).encode("utf-8", errors="replace")


def write_picture(path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(path)


def write_reviews(path: Path) -> None:
    rows = [f"good film number {i}\t1" if i % 2 else f"bad film number {i}\t0" for i in range(20)]
    path.write_text("review\tsentiment\n" + "\n".join(rows) + "\n")


def write_table(path: Path) -> None:
    path.write_text("\n".join(",".join(str((a + b) % 5) for b in range(5)) for a in range(5)) + "\n")


def write_digits(path: Path) -> None:
    np.savez(path, x=np.arange(160, dtype=np.uint8).reshape(10, 4, 4), y=np.arange(10))


SPECS = ("modular:p=7,seed=1", "parity:n=10,k=3", "group:table=S3", "image:target=x.png,size=8", "addition:p=4",
         "linear_chain:orientation=out_in", "grokking", "fourier.top=5", "lr=1e-4:1e-2:5:log", "state_dicts/3",
         "mlp:hidden=200x200,act_fn=tanh")  # fmt: skip


def specs(good: Path, folder: Path, rng: Random) -> Path:
    shutil.copytree(good, folder, dirs_exist_ok=True)
    (folder / "spec").write_text(m.mutated_text(rng.choice(SPECS), rng), encoding="utf-8", errors="surrogatepass")
    return folder / "spec"


def use_spec(path: Path) -> None:
    """The text as --task, --layout, --key, --set, --grid and --model."""
    from interp.cli.options import parse_settings
    from interp.training.members import parse_values

    text = path.read_text(encoding="utf-8", errors="surrogatepass")
    uses: tuple[Callable[[], Any], ...] = (
        lambda: interp.make_task(text), lambda: parse_settings([text]), lambda: parse_values("lr", text),
        lambda: interp.load(path.parent / "file.pt", layout=text, device="cpu"),
        lambda: interp.load(path.parent / "file.pt", key=text, device="cpu"),
        lambda: interp.load(path.parent / "file.pt", task=text, device="cpu"),
    )  # fmt: skip
    for use in uses:
        refused(use)


def write_run(folder: Path) -> None:
    interp.train("addition:p=4", steps=20, members=2, out=folder / "run")


def run_folder(good: Path, folder: Path, rng: Random) -> Path:
    shutil.copytree(good / "run", folder / "run", dirs_exist_ok=True)
    files = sorted(f for f in (folder / "run").rglob("*") if f.is_file() and f.stat().st_size)
    chosen = rng.choice([f for f in files if f.suffix in (".json", ".jsonl")] if rng.random() < 0.7 else files)
    data = chosen.read_bytes()
    if chosen.suffix == ".jsonl":
        lines = data.splitlines()
        at = rng.randrange(len(lines))
        lines[at] = m.mutated_json_text(lines[at], rng)
        chosen.write_bytes(b"\n".join(lines) + b"\n")
    else:
        chosen.write_bytes((m.mutated_json_text if chosen.suffix == ".json" else header)(data, rng))
    return folder / "run"


def use_run(path: Path) -> None:
    for use in (lambda: interp.load(path, device="cpu"), lambda: interp.Run(path).metrics, lambda: repr(interp.Run(path)),
                lambda: interp.Run(path).phases, lambda: interp.Run(path).subject(member=1)):  # fmt: skip
        refused(use)


def write_cache(folder: Path) -> None:
    from interp.history.cache import MeasureCache

    write_run(folder)
    MeasureCache(folder / "cache.sqlite").put({})
    with cached_in(folder / "cache.sqlite"):
        progress(folder / "run")


def cached_in(path: Path) -> Any:
    """The environment in which measures are kept in that file."""
    from unittest.mock import patch

    return patch.dict("os.environ", INTERP_CACHE=str(path))


def progress(path: Path) -> None:
    """The analysis that reads the cache; where it fails, a researcher would see a red line."""
    outcome = interp.analyze(interp.load(path, device="cpu"), only=["progress"])["progress"]
    if outcome.status == "failed":
        raise AssertionError(f"the analysis failed: {outcome.error}")


def cache_rows(good: Path, folder: Path, rng: Random) -> Path:
    shutil.copytree(good, folder, dirs_exist_ok=True)
    with sqlite3.connect(folder / "cache.sqlite") as connection:
        rows = connection.execute("SELECT key, value FROM measured ORDER BY key").fetchall()
        for key, value in rng.sample(rows, min(len(rows), rng.choice((1, 3, 20)))):
            changed = m.mutated_json_text(value.encode(), rng).decode("latin1")
            connection.execute("UPDATE measured SET value = ? WHERE key = ?", (changed, key))
    connection.close()
    return folder / "cache.sqlite"


def use_cache(path: Path) -> None:
    with cached_in(path):
        progress(path.parent / "run")


def write_outcome(path: Path) -> None:
    """An ablation of a small network, with its value and metric."""
    import circuits
    from circuits.interventions.values import Zero

    model = interp.HookedMLP(interp.MLPConfig((4,), 5, d_vocab=5, d_embed=3)).init_weights(seed=0)
    subject = interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model))
    circuits.Experiment("ablate", kind="neurons", value=Zero(), metric="logit_diff").run(subject).save(path)


def use_outcome(path: Path) -> None:
    import circuits

    found = circuits.Outcome.load(path)
    for use in (
        lambda: repr(found),
        lambda: repr(found.experiment),
        lambda: found.difference(found),
    ):
        refused(use)


def write_torch(path: Path, **options: Any) -> None:
    torch.save(sample(), path, **options)


def write_pickle(path: Path, tree: Any) -> None:
    path.write_bytes(pickle.dumps(tree))


@cache
def targets() -> dict[str, Target]:
    """All targets by name; those whose library is missing are left out."""
    import importlib.util

    arrays = {name: tensor.numpy() for name, tensor in weights().items()}
    found = [
        file_target("torch zip", "x.pt", write_torch, in_archive(member), weight=8),
        file_target(
            "torch legacy", "x.pth", lambda p: write_torch(p, _use_new_zipfile_serialization=False), legacy, weight=8
        ),
        file_target("pickle of arrays", "x.pkl", lambda p: write_pickle(p, arrays), m.mutated_pickle, weight=6),
        file_target("pickle of tensors", "y.pkl", lambda p: write_pickle(p, weights()), m.mutated_pickle, weight=6),
        file_target("safetensors", "x.safetensors", lambda p: save_file(weights(), p), header, weight=6),
        file_target("our safetensors", "o.safetensors", write_ours, header, weight=6),
        Target("sharded", write_sharded, sharded, opened),
        file_target("npz", "x.npz", lambda p: np.savez(p, **arrays), in_archive(member)),  # type: ignore[arg-type]
        Target("torch distributed", write_distributed, distributed, opened),
        file_target("genome", "x.xml", write_genome, text_bytes),
        file_target("image", "x.png", write_picture, m.mutated_bytes, use=lambda p: interp.ImageTask(target=str(p))),
        file_target("reviews", "x.tsv", write_reviews, text_bytes, use=lambda p: interp.Reviews(path=str(p))),
        file_target("group table", "x.csv", write_table, text_bytes, use=lambda p: interp.GroupComposition(str(p))),
        file_target("digits", "d.npz", write_digits, in_archive(member), use=lambda p: interp.Digits(path=str(p))),
        Target("specs", lambda folder: torch.save(weights(), folder / "file.pt"), specs, use_spec, weight=6),
        Target("run folder", write_run, run_folder, use_run),
        file_target("saved experiment", "x.safetensors", write_outcome, header, use=use_outcome),
        Target("cache rows", write_cache, cache_rows, use_cache, weight=1),
        Target("layouts", lambda folder: None, drawn.layouts_input, drawn.use_layouts, weight=6),
        Target("name maps", drawn.write_maps, drawn.name_map_input, drawn.use_name_map),
        Target("step folders", lambda folder: None, drawn.step_folder_input, drawn.use_folder),
        Target("neat", lambda folder: None, drawn.neat_input, opened),
        Target("tasks", drawn.write_task_nets, drawn.task_input, drawn.use_task),
    ]
    if importlib.util.find_spec("msgpack"):
        found.append(file_target("msgpack", "x.msgpack", write_msgpack, m.mutated_bytes))
    if importlib.util.find_spec("h5py"):
        found.append(file_target("h5", "x.h5", write_h5, m.mutated_bytes))
    return {target.name: target for target in found}
