"""A run of another tool as a Subject, where its network is not known or not here: the curves remain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interp.checkpoints.source import Source
from interp.errors import InterpError
from interp.hooked.no_network import NoNetwork, NoNetworkConfig
from interp.subject import Provenance, Subject


def curves_alone(source: Source, name: str, origin: Mapping[str, Any], reason: str | None = None) -> Subject:
    """The recorded curves without a network.

    Args:
        source: the run.
        name: of the Subject.
        origin: the arguments of `load`.
        reason: why its checkpoint cannot be read; None where it has none.

    Returns:
        A Subject on which analyses of curves work; whatever needs a network says so.
    """
    missing = f"the run of {source.tool} holds no checkpoint: its curves alone are here"
    notes = (
        source.notes
        if reason is not None
        else (*source.notes, f"{missing}; name a file of weights to analyse a network")
    )
    return Subject(
        name=name,
        model=NoNetwork(NoNetworkConfig(source.tool)),
        provenance=Provenance(path=str(source.path), format=f"run of {source.tool}", notes=notes),
        curves=source.curves,
        origin=origin,
        warnings=[] if reason is None else [f"the curves alone are here: {reason}"],
    )


def shortened(error: InterpError) -> str:
    """The message about an unknown network without the list of its tensors."""
    return str(error).partition("\nThe tensors are:")[0]
