"""What a task's inputs and outputs determine of a network's config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from interp.errors import InterpError
from interp.hooked import Config, CPPNConfig

KINDS = ("transformer", "mlp", "rnn", "lstm", "cppn", "toy_model")  # of models whose shape a task may determine


def shapes_of(inputs: Tensor, outputs: int, tokens: Callable[[], int], at_position: bool) -> dict[str, dict[str, Any]]:
    """Fields of a config, by kind of model, of the kinds that take the inputs.

    Args:
        inputs: ``[n, d_in]`` vectors or ``[n, pos, d_in]`` sequences of them (float), or ``[n, pos]`` tokens (int64).
        outputs: how many a network must give.
        tokens: gives how many tokens there are, if the inputs are tokens.
        at_position: whether the answer is read at a position of the output, as from a transformer.

    Returns:
        Fields by name, by kind of model; none for inputs of other shapes.
    """
    if inputs.ndim == 3 and inputs.is_floating_point():
        return {"rnn": {"d_in": inputs.shape[2], "d_out": outputs, "read": "each" if at_position else "last"}}
    if inputs.ndim != 2:
        return {}
    width = inputs.shape[1]
    if inputs.is_floating_point():
        vectors: dict[str, dict[str, Any]] = {"mlp": {"d_in": width, "d_out": outputs}}
        return {**vectors, "cppn": {}} if width == CPPNConfig.d_in else vectors
    if at_position:
        recurrent = {"d_vocab": tokens(), "d_out": outputs, "read": "each"}
        return {"transformer": {"d_vocab": tokens(), "d_vocab_out": outputs, "n_ctx": width}, "rnn": recurrent}
    sequence: dict[str, dict[str, Any]] = {
        "lstm": {"d_vocab": tokens(), "n_ctx": width, "d_out": outputs},
        "rnn": {"d_vocab": tokens(), "d_out": outputs, "read": "last"},
    }
    return {"mlp": {"d_vocab": tokens(), "n_operands": width, "d_out": outputs}, **sequence} if width > 1 else sequence


def vector_problems(config: Config, d_in: int, outputs: int, loss: str) -> list[str]:
    """Why a model does not take vectors to outputs.

    Args:
        config: of the model.
        d_in: width of the vectors.
        outputs: how many the loss reads.
        loss: its name, for the messages.

    Returns:
        One sentence a reason.
    """
    problems = []
    takes, gives = getattr(config, "d_in", None), getattr(config, "d_out", None)
    if takes is None:
        problems.append(f"a model of kind {config.kind!r} takes tokens, the task gives vectors of {d_in}")
    elif takes != d_in:
        problems.append(f"the model takes vectors of {takes}, the task gives vectors of {d_in}")
    if gives != outputs:
        problems.append(f"the model has {gives or 'no plain'} outputs, the task's loss {loss} reads {outputs}")
    return problems


def position_read(readout: int, length: int) -> int:
    """Where a task reads what has so many positions: a model that computes only the position that is read has one.

    Args:
        readout: the task's.
        length: how many positions there are.

    Returns:
        the index.

    Raises:
        InterpError: there is no such position.
    """
    if length == 1:
        return 0
    if not -length <= readout < length:
        raise InterpError(f"the task reads position {readout} of {length}: readout is {-length} to {length - 1}")
    return readout
