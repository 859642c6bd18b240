"""Folders that are one checkpoint: those of Hugging Face, and of torch.distributed.checkpoint."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from interp._util.files import leads_out, not_followed
from interp.checkpoints.formats.distributed_files import METADATA
from interp.checkpoints.formats.steps import step_in_name
from interp.errors import UnreadableFile

# the file of the weights in a folder of Hugging Face (transformers, diffusers), best first
WEIGHTS = (
    "model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json", "pytorch_model.bin",
    "diffusion_pytorch_model.safetensors.index.json", "diffusion_pytorch_model.safetensors", "flax_model.msgpack",
)  # fmt: skip

# what trainings leave beside their checkpoints
TRAINING_STATE = re.compile(
    r"(?:optim|scheduler|scaler|sampler|rng|random_state|training_args|trainer_state|tokenizer|vocab|zero_pp_rank|bf16_zero_pp_rank)",
    re.IGNORECASE,
)
SHARD = re.compile(r"(?:-\d{5}-of-(?!00001)\d{5}(?=\.|$)|^consolidated\.\d\d(?=\.))")  # a piece of one checkpoint


def checkpoints_in(folder: Path, suffixes: Collection[str]) -> tuple[list[Path], list[str]]:
    """The files of a folder that may be checkpoints, without the state of the training beside them.

    Args:
        folder: that holds them.
        suffixes: of checkpoints.

    Returns:
        The files by name; and notes on the state of the training and on links that were left out.

    Raises:
        UnreadableFile: pieces of one checkpoint without the index that says what they are, or nothing but links.
    """
    found = sorted(f for f in folder.iterdir() if f.is_file() and f.suffix in suffixes and not f.name.startswith("."))
    links = [f for f in found if leads_out(f)]
    if links and len(links) == len(found):
        raise UnreadableFile(f"{folder} holds no checkpoints of its own: {not_followed(links)}")
    files = [f for f in found if f not in links]
    kept = [f for f in files if not TRAINING_STATE.match(f.name)] or files
    shards = [f for f in kept if SHARD.search(f.name)]
    if len(shards) > 1:
        raise UnreadableFile(
            f"{folder} holds pieces of one checkpoint ({shards[0].name}, {shards[1].name}, ...) without the index that says what "
            "stands where (*.index.json): copy it beside them, or save the whole in one file"
        )
    left = [f.name for f in files if f not in kept]
    notes = [f"{', '.join(left[:8])} left out: by name the state of the training, not weights"] if left else []
    return kept, [*notes, not_followed(links)] if links else notes


def refuse_piece(path: Path) -> None:
    """Raise if a file is one of several pieces of a checkpoint by its name, which would be read as a smaller network.

    Args:
        path: of the file.

    Raises:
        UnreadableFile: it is; the message names what to open in its place.
    """
    if SHARD.search(path.name) and any(
        SHARD.search(f.name) for f in path.parent.glob(f"*{path.suffix}") if f.name != path.name
    ):
        index = next(iter(sorted(path.parent.glob("*.index.json"))), None)
        raise UnreadableFile(
            f"{path} is one piece of a checkpoint; name {index or path.parent}, which stands for the whole"
        )


def distributed_in(folder: Path) -> Path | None:
    """The metadata of a torch distributed checkpoint, if a folder is one.

    Args:
        folder: that a user named.

    Returns:
        The file ``.metadata``, or None.

    Raises:
        UnreadableFile: pieces without their metadata.
    """
    if (folder / METADATA).is_file():
        return folder / METADATA
    if any(folder.glob("*.distcp")):
        raise UnreadableFile(f"{folder} holds pieces of a torch distributed checkpoint without {METADATA}, which says what they "
                             "are; it is a hidden file, so copy the folder with it")  # fmt: skip
    return None


def weights_in(folder: Path) -> Path | None:
    """The weights, or their index, beside the ``config.json`` of Hugging Face; None in another folder."""
    if not (folder / "config.json").is_file():
        return None
    return _weights_by_name(folder)


def _weights_by_name(folder: Path) -> Path | None:
    return next((file for name in WEIGHTS if (file := folder / name).is_file() and not leads_out(file)), None)


def steps_in(folder: Path, suffixes: Collection[str]) -> dict[Path, int]:
    """The checkpoints in subfolders such as ``checkpoint-500`` or ``step100``, one in each.

    Args:
        folder: of the training.
        suffixes: of checkpoints.

    Returns:
        The step of each file of weights, in the order of the steps; links are not followed.
    """
    found: dict[Path, int] = {}
    for inner in folder.iterdir():
        named = step_in_name(inner.name)
        if named is not None and named.said and inner.is_dir() and not inner.is_symlink():
            weights = _only_in(inner, suffixes)
            if weights is not None and not weights.is_symlink():
                found[weights] = named.step
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


def _only_in(folder: Path, suffixes: Collection[str]) -> Path | None:
    """The weights of a folder: under Hugging Face's names, or its only checkpoint."""
    if (usual := _weights_by_name(folder)) is not None:
        return usual
    files, _ = checkpoints_in(folder, suffixes)
    return files[0] if len(files) == 1 else None
