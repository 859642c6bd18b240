"""Inputs that are drawn, rather than mutated: tensors under the names of all layouts, folders of odd steps, specs, name maps."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch

import interp
from tests.fuzz import mutators as m
from tests.fuzz.vocabulary import FAMILIES, FOLDER_NAMES, NAME_MAPS, OPTIONS, POINTER, REPLACED, TASKS
from tests.interp.checkpoints.files import weights


def drawn_tensors(rng: Random) -> dict[str, torch.Tensor]:
    """The tensors of one family with drawn sizes; often some are missing, of another shape, or of another family."""
    sizes = {
        letter: rng.choice((0, 1, 2, 3, 4, 5, 6)) if rng.random() < 0.1 else rng.randint(1, 6)
        for letter in "abcdeghikrtvx"
    }
    if rng.random() < 0.6:  # sizes that belong together in attention and in gated cells
        sizes.update(t=3 * sizes["d"], g=rng.choice((3, 4)) * sizes["b"], k=max(1, sizes["d"] // max(1, sizes["h"])))
    sizes["1"] = 1
    shapes = dict(rng.choice(FAMILIES))
    for _ in range(rng.choice((0, 0, 1, 2))):
        name = rng.choice(sorted(shapes))
        match rng.randrange(5):
            case 0 if len(shapes) > 1:
                del shapes[name]
            case 1:
                shapes[name] = tuple(rng.choice("abcdehkv1") for _ in range(rng.randrange(4)))
            case 2:
                shapes |= dict(rng.sample(sorted(rng.choice(FAMILIES).items()), 1))
            case 3:
                shapes[rng.choice((f"{name}.0", name.replace("0", "1"), f"x.{name}", name[1:] or "y", "é", ""))] = (
                    shapes[name]
                )
            case _:
                shapes = {f"net.{n}": s for n, s in shapes.items()}
    dtypes = (torch.float32,) * 12 + (torch.float64, torch.float16, torch.int64, torch.bool, torch.complex64)
    one = rng.choice(dtypes)
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    return {
        name: torch.randn([sizes[letter] for letter in shape], generator=generator).to(
            one if rng.random() < 0.9 else rng.choice(dtypes)
        )
        for name, shape in shapes.items()
    }


def drawn_spec(rng: Random) -> str:
    """A layout with options of its own, and now and then of another's."""
    from interp.checkpoints.layouts import layouts

    known = layouts()
    layout = known[rng.choice(sorted(known))]
    options = rng.sample(sorted(layout.options), min(len(layout.options), rng.choice((0, 1, 1, 2, 4))))
    if rng.random() < 0.1:
        options.append(rng.choice(sorted(OPTIONS)))
    settings = ",".join(f"{name}={rng.choice(OPTIONS.get(name, ('1', 'x')))}" for name in options)
    return f"{layout.name}:{settings}" if settings else layout.name


def layouts_input(good: Path, folder: Path, rng: Random) -> Path:
    path = folder / "x.pt"
    torch.save(drawn_tensors(rng), path)
    if rng.random() < 0.3:
        config = '{"p": 5, "d_model": 4, "n_layers": 1, "act_type": "ReLU", "d_vocab": 6, "n_ctx": 3, "fn_name": "add"}'
        (folder / "config.json").write_bytes(m.mutated_json_text(config.encode(), rng))
    (folder / "specs").write_text("\n".join(drawn_spec(rng) for _ in range(4)))
    return path


def use_layouts(path: Path) -> None:
    """Read without a word, then in four ways by hand; what can be run is run, and read back from our own format."""
    specs = [None, *(path.parent / "specs").read_text().splitlines()]
    for spec in specs:
        refused(lambda spec=spec: interp.inspect(path, layout=spec))
        refused(lambda spec=spec: interp.load(path, layout=spec, device="cpu"))


def refused(use: Callable[[], Any]) -> None:
    """Use an input in one of several ways; to be refused is fine, and the next way is tried."""
    with contextlib.suppress(interp.InterpError):
        use()


def write_maps(folder: Path) -> None:
    torch.save(weights(), folder / "file.pt")


def name_map_input(good: Path, folder: Path, rng: Random) -> Path:
    shutil.copytree(good, folder, dirs_exist_ok=True)
    text = rng.choice(NAME_MAPS)
    path = folder / "map.toml"
    if rng.random() < 0.5:
        text = text.replace(*rng.choice(REPLACED))
    if rng.random() < 0.6:
        text = m.mutated_text(text, rng)
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return path


def use_name_map(path: Path) -> None:
    for use in (interp.inspect, functools.partial(interp.load, device="cpu")):
        refused(lambda use=use: use(path.parent / "file.pt", layout=str(path)))


def put(value: Any, place: Path) -> None:
    """A torch file under any name: torch writes none that begins with a dot."""
    torch.save(value, place.parent / "written.tmp")
    (place.parent / "written.tmp").replace(place)


def step_folder_input(good: Path, folder: Path, rng: Random) -> Path:
    """Up to six entries with odd names: checkpoints, with and without a step, damaged files, links, folders."""
    for name in rng.sample(FOLDER_NAMES, rng.randint(1, 6)):
        place = folder / name
        match rng.randrange(9):
            case 0:
                place.write_bytes(
                    rng.choice(
                        (
                            b"",
                            b"{}",
                            b"[]",
                            b"null",
                            POINTER,
                        )
                    )
                )
            case 1:
                with contextlib.suppress(OSError):
                    os.symlink(rng.choice(("step_1.pt", name, "/dev/zero", "..", "nowhere")), place)
            case 2:
                place.mkdir()
                put(weights(rng.randrange(2)), place / "step_4.pt")
            case 3:
                state = weights(rng.randrange(2))
                state.popitem()
                put(state, place)
            case 4:
                put(
                    {"model": weights(rng.randrange(3)), "step": rng.choice((*m.ODD_NUMBERS, *m.ODD_VALUES[:8]))}, place
                )
            case 5:
                put(
                    {"checkpoints": [weights(i) for i in range(3)], "steps": rng.choice(([0, 1, 2], [1], None, ["a"]))},
                    place,
                )
            case 6:
                place.write_bytes(m.mutated_bytes(pickle.dumps(weights()), rng))
            case _:
                put(weights(rng.randrange(3)), place)
    return folder


def use_folder(path: Path) -> None:
    refused(lambda: interp.inspect(path))
    subject = interp.load(path, device="cpu")
    for step in list(subject.series.steps)[:4] if subject.series else ():
        refused(lambda step=step: interp.load(path, step=step, device="cpu"))


def neat_input(good: Path, folder: Path, rng: Random) -> Path:
    """A genome with odd genes, a population or a checkpoint of neat-python, and then perhaps damaged."""
    from tests.interp.neat.pickles import pickled, random_rows

    rows = random_rows(rng.randrange(10**6), recurrent=rng.random() < 0.3)
    for _ in range(rng.choice((0, 0, 1, 2))):
        odd = rng.choice((*m.ODD_NUMBERS, *m.ODD_TEXTS, None, (1, 2)))
        if rng.random() < 0.5 and rows.connections:
            at = rng.randrange(len(rows.connections))
            gene: list[Any] = list(rows.connections[at])
            gene[rng.randrange(4)] = odd
            rows.connections[at] = tuple(gene)  # type: ignore[call-overload]
        else:
            key = rng.choice(sorted(rows.nodes))
            gene = list(rows.nodes[key])
            gene[rng.randrange(4)] = odd
            rows.nodes[key] = tuple(gene)  # type: ignore[assignment]
    if rng.random() < 0.2:
        rows.more["nodes"] = rng.choice(({}, [], {1: None}, None))
    data = pickled(rows, rng.random() < 0.5, protocol=rng.choice((0, 1, 2, 3, 4, 5)))
    path = folder / "winner.pkl"
    path.write_bytes(m.mutated_pickle(data, rng) if rng.random() < 0.5 else data)
    return path


def task_input(good: Path, folder: Path, rng: Random) -> Path:
    shutil.copytree(good, folder, dirs_exist_ok=True)
    text = rng.choice(TASKS)
    if rng.random() < 0.3:
        text = ",".join(
            [text, *rng.sample([part for t in TASKS for part in t.partition(":")[2].split(",")], rng.randint(1, 3))]
        )
    text = m.mutated_text(text, rng) if rng.random() < 0.6 else text
    (folder / "task").write_text(text, encoding="utf-8", errors="surrogatepass")
    return folder / "task"


def write_task_nets(folder: Path) -> None:
    model = interp.HookedMLP(interp.MLPConfig((4,), 5, d_in=10)).init_weights(seed=0)
    interp.save(model, folder / "mlp.safetensors")


def use_task(path: Path) -> None:
    """The task, its batches where it is small, and the task of a network that it does not fit."""
    text = path.read_text(encoding="utf-8", errors="surrogatepass")
    refused(lambda: interp.load(path.parent / "mlp.safetensors", task=text, device="cpu"))
    task = interp.make_task(text)
    repr(task)
    refused(lambda: interp.make_task(task.spec()))
    if len(text) < 80 and task.n_outputs < 100:
        refused(lambda: task.inputs)
        refused(lambda: task.train_indices)
