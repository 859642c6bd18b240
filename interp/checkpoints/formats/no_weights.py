"""What to say of an intact file in which there are no weights."""

from __future__ import annotations

from collections.abc import Mapping

from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.tensors import TensorRef

OPTIMIZER = {"state", "param_groups"}  # keys of a torch optimizer's state dict, wherever it stands
META = "torch._utils._rebuild_meta_tensor_no_storage"


def no_weights(contents: Contents) -> str:
    """What a file holds in place of weights, and what to do.

    Args:
        contents: of the file.

    Returns:
        The message.
    """
    tree, where = contents.tree, f"{contents.path} ({contents.format})"
    if META in contents.stubs:
        return (
            f"{where}: its tensors were on the device 'meta' when they were saved, which keeps shapes and no values; load the "
            "weights into the model, or move it with to_empty() and train it, and save it again"
        )
    if isinstance(tree, Mapping) and tree.keys() >= OPTIMIZER:
        return f"{where} is the state of an optimizer, not weights; name the model's file, often beside it"
    if isinstance(tree, TensorRef):
        shape = f"{list(tree.shape)} {str(tree.dtype).removeprefix('torch.')}"
        return f"{where} holds a single tensor {shape} without a name; save a dict: torch.save({{'W': tensor}}, path)"
    held = ", ".join(map(str, list(tree)[:10])) if isinstance(tree, Mapping) else f"one {type(tree).__name__}"
    held = held or "nothing"
    classes = ", ".join(contents.stubs[:5])
    stubs = (
        f". It names classes that are never read or run here: {classes}. Do not load it with torch.load or pickle unless you "
        "trust its source"
        if classes
        else ""
    )
    return f"{where} holds no named tensors; it holds: {held}{stubs}; {_way(contents)}"


def _way(contents: Contents) -> str:
    """How to save the weights with the library that the file's classes are from."""
    libraries = {name.partition(".")[0] for name in contents.stubs}
    if "sklearn" in libraries:
        return "of scikit-learn only MLPClassifier and MLPRegressor are networks; save the arrays of others with numpy.savez"
    return "save the model's state_dict()"
