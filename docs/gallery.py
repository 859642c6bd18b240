"""A report on every kind of network, for the documentation: ``make gallery`` (minutes).

Writes ``docs/gallery_pages/NAME/index.html`` and ``docs/gallery.md``, which lists them with what each report argues. The
network on S_5 is one of Chughtai et al.'s; without their file (``INTERP_DATA``, see examples/README.md) it is left out.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

import interp
from interp.cli.commands.demo_files import copy_files
from interp.plugins.argument import Argument
from interp.report.data import argument_of

HERE = Path(__file__).parent
PAGES = HERE / "gallery_pages"
BESIDE = HERE.parents[1] / "shared" / "data"
HEAD = """# Gallery

What a report looks like, for every kind of network. `make gallery` makes these pages; each is one file, as
`interp analyze` and `interp compare` write it.
"""


@dataclass(frozen=True)
class Shown:
    """A page of the gallery: its folder, its title, what made it, and how it is made."""

    name: str
    title: str
    command: str
    make: Callable[[Path], Argument]


def analyzed(subject: interp.Subject, out: Path) -> Argument:
    """Write the report on a network; what it argues."""
    outcomes = interp.analyze(subject)
    interp.report.write(subject, outcomes, out)
    return argument_of(subject, outcomes)


def compared(sources: list[Path], out: Path) -> Argument:
    """Write the comparison of networks; what it argues."""
    found = interp.compare(sources)
    interp.report.write_comparison(found, out)
    return found.argument


def trained(out: Path, task: str, **settings: object) -> Argument:
    """Train a network, and write the report on it."""
    with tempfile.TemporaryDirectory() as folder:
        run = interp.train(task, out=Path(folder) / "run", **settings)  # pyright: ignore[reportArgumentType]
        return analyzed(interp.load(run.path), out)


def pictures(out: Path) -> Argument:
    """An evolved network and its SGD twin, of `interp demo --copy`."""
    with tempfile.TemporaryDirectory() as folder:
        copy_files(Path(folder))
        return compared([Path(folder) / "genome.xml", Path(folder) / "sgd_twin.safetensors"], out)


def wrapped(out: Path) -> Argument:
    """A convolutional net in plain torch, trained on scikit-learn's digits."""
    task = interp.Digits()
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 8, 8)), torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(288, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10),
    )  # fmt: skip
    inputs, labels = task.inputs[task.train_indices].float(), task.labels[task.train_indices]
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(150):
        loss = torch.nn.functional.cross_entropy(net(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return analyzed(interp.Subject("convolutions on digits", interp.wrap(net, inputs[:2]), task), out)


def data_folder() -> Path:
    """Where other people's files are."""
    return Path(os.environ.get("INTERP_DATA") or BESIDE)


def shown() -> Iterator[Shown]:
    """Every page, in the order of the gallery."""
    run = HERE.parent / "interp" / "demo" / "run"
    yield Shown("transformer", "A transformer that grokked", "interp demo", lambda out: analyzed(interp.load(run), out))
    yield Shown(
        "memorised", "The same run while it memorises", "interp analyze RUN --step 200",
        lambda out: analyzed(interp.load(run, step=200), out),
    )  # fmt: skip
    yield Shown(
        "mlp", "An MLP on modular addition", "interp train modular --p 31 --model mlp ...",
        lambda out: trained(
            out, "modular:p=31,train_fraction=0.7", model="mlp:d_embed=32,hidden=96", optimizer="adamw", lr=1e-3,
            weight_decay=1.0, batch_size="full", steps=8000, checkpoints="0,200,1000,4000,8000",
        ),
    )  # fmt: skip
    group = data_folder() / "groups"
    if (group / "S5_MLP_seed1").is_dir():
        task = f"group:table={group / 'S5_table.csv'}"
        yield Shown(
            "s5", "An MLP on the symmetric group S_5", "interp analyze S5_MLP_seed1 --task group:table=S5_table.csv",
            lambda out: analyzed(interp.load(group / "S5_MLP_seed1", task=task), out),
        )  # fmt: skip
    yield Shown(
        "parity", "Sparse parity", "interp train parity --n 30 --n-train 300 ...",
        lambda out: trained(out, "parity:n=30,k=2,n_train=300", epochs=300),
    )  # fmt: skip
    yield Shown(
        "pictures", "Two networks that draw one picture", "interp compare genome.xml sgd_twin.safetensors", pictures
    )
    yield Shown(
        "superposition", "A toy model of superposition", "interp train superposition",
        lambda out: trained(out, "superposition"),
    )  # fmt: skip
    yield Shown("wrapped", "A convolutional net of plain torch", "interp.wrap(net, example)", wrapped)


def entry(one: Shown, argument: Argument) -> str:
    """What the gallery says of a page."""
    said = "\n".join(f"- {sentence}" for sentence in argument.summary)
    return f"\n## {one.title}\n\n`{one.command}`: <a href='{one.name}/index.html'>the report</a>\n\n{said}\n"


def main() -> None:
    """Make every page, and the list of them."""
    shutil.rmtree(PAGES, ignore_errors=True)
    text = HEAD
    for one in shown():
        print(f"{one.name} ...", flush=True)
        text += entry(one, one.make(PAGES / one.name))
    (HERE / "gallery.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
