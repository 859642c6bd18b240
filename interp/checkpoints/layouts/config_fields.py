"""The fields of a training config that layouts use, and of which kind each must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interp._util.schema import described, fits, short

CONFIG = {
    "p": int,
    "fn_name": str,
    "frac_train": float,
    "seed": int,
    "act_type": str,
    "act_fn": str,
    "eps": float,
    "causal": bool,
    "attention_dir": str,
    "normalization": str | None,
    "normalization_type": str | None,
}  # fmt: skip


def usable_config(config: Mapping[str, Any], where: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A training config without the fields that layouts cannot use.

    Args:
        config: as somebody wrote it.
        where: it stands, for the notes.

    Returns:
        its fields, without those that are of another kind than `CONFIG` says; and a note on each that was left out.
    """
    wrong = {n: k for n, k in CONFIG.items() if n in config and not fits(config[n], k)}
    notes = (f"{where}: {n} was ignored: it must be {described(k)}, got {short(config[n])}" for n, k in wrong.items())
    return {n: v for n, v in config.items() if n not in wrong}, tuple(notes)
