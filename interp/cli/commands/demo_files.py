"""The small files behind ``interp demo --copy``: a checkpoint, a run, a genome, its picture and its SGD twin."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from interp.errors import InterpError, OutputExists

SHIPPED = Path(__file__).parents[2] / "demo"
RUN = SHIPPED / "run"
PIXELS = 128
FILES = {
    "model.pth": "a torch checkpoint of a transformer that grokked (a + b) mod 53, with its config",
    "runs/modadd": "the run that it is from: checkpoints and curves",
    "genome.xml": "an evolved image network (CPPN), as Picbreeder stores one",
    "picture.png": "what it draws",
    "sgd_twin.safetensors": "a network of its layers that SGD trained to draw the same",
}


def copy_files(folder: Path, *, force: bool = False) -> None:
    """Put the files into a folder, all of them or none.

    Args:
        folder: new, or without files of these names.
        force: replace files of these names.

    Raises:
        OutputExists: one of them is there already and ``force`` is not set.
        InterpError: the folder cannot be written.
    """
    there = [name for name in FILES if (folder / name).exists() or (folder / name).is_symlink()]
    if there and not force:
        raise OutputExists(f"{folder / there[0]} is there already; name another folder, or replace it with --force")
    if folder.exists() and not folder.is_dir():
        raise OutputExists(f"{folder} is a file; name a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as building:
            _fill(Path(building))
            for name in FILES:
                _replace(Path(building) / name, folder / name)
    except OSError as error:
        raise InterpError(f"cannot write {folder}: {error.strerror or error}; choose another folder") from None


def _replace(made: Path, target: Path) -> None:
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(exist_ok=True)
    made.rename(target)


def _fill(folder: Path) -> None:
    import torch

    from interp.checkpoints import load

    grokked = load(RUN, device="cpu")
    config = {"p": 53, "fn_name": "add", "frac_train": 0.46, "seed": 2, "act_fn": "relu"}
    torch.save({"model": grokked.model.state_dict(), "config": config, "epoch": grokked.step}, folder / "model.pth")
    shutil.copytree(RUN, folder / "runs" / "modadd")
    for name in ("genome.xml", "sgd_twin.safetensors"):
        shutil.copyfile(SHIPPED / "files" / name, folder / name)
    genome = load(folder / "genome.xml", device="cpu").genome
    assert genome is not None
    genome.draw(PIXELS).save(folder / "picture.png")
