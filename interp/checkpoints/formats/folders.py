"""Folders that are one checkpoint: those of Hugging Face, and of torch.distributed.checkpoint."""

from __future__ import annotations

from pathlib import Path

from interp.checkpoints.formats.distributed_files import METADATA
from interp.checkpoints.formats.steps import step_in_name
from interp.errors import UnreadableFile

# the file of the weights in a folder of Hugging Face (transformers, diffusers), best first
WEIGHTS = (
    "model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json", "pytorch_model.bin",
    "diffusion_pytorch_model.safetensors.index.json", "diffusion_pytorch_model.safetensors", "flax_model.msgpack",
)  # fmt: skip


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
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def steps_in(folder: Path) -> dict[Path, int]:
    """The checkpoints in subfolders such as ``checkpoint-500``, as the Trainer of Hugging Face writes them.

    Args:
        folder: of the training.

    Returns:
        The step of each file of weights, in the order of the steps; links are not followed.
    """
    found: dict[Path, int] = {}
    for inner in folder.iterdir():
        named = step_in_name(inner.name)
        if named is not None and named.said and inner.is_dir() and not inner.is_symlink():
            weights = weights_in(inner)
            if weights is not None and not weights.is_symlink():
                found[weights] = named.step
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))
