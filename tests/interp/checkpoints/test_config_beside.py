"""A training config beside a good checkpoint: whatever is wrong with it is a note, and the checkpoint is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import interp
from interp.checkpoints import inspect
from interp.checkpoints.formats.header import HEADER
from interp.errors import UnreadableFile

SMALL = {"kind": "transformer", **dict.fromkeys(("d_model", "n_heads", "d_head", "d_vocab", "d_vocab_out", "n_ctx"), 2)}
NOT_READ = ["", "[1]", "{", "[" * 100_000, '{"p": ' + "9" * 5000 + "}", "\xff", "3"]


def checkpoint(folder: Path) -> Path:
    torch.save(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).state_dict(), folder / "model.pt")
    return folder / "model.pt"


@pytest.mark.parametrize("name", ["cfg.json", "config.json"])
@pytest.mark.parametrize("text", NOT_READ, ids=lambda t: t[:6])
def test_a_config_that_cannot_be_read(tmp_path: Path, name: str, text: str) -> None:
    """The note names the file; file and folder are read all the same."""
    path = checkpoint(tmp_path)
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    for source in (path, tmp_path):
        notes = interp.load(source).provenance.notes
        assert [n for n in notes if n.startswith("the config beside the checkpoint was ignored") and name in n]
        assert inspect(source).facts["layout"] == "linear_chain"


@pytest.mark.parametrize(
    "fields",
    [
        {"p": None}, {"p": "x"}, {"p": [5]}, {"p": 10**400}, {"p": True}, {"seed": {}}, {"frac_train": "half"},
        {"frac_train": float("nan")}, {"act_fn": 3}, {"act_type": None}, {"fn_name": {}}, {"eps": []},
    ],
    ids=str,
)  # fmt: skip
def test_fields_of_the_wrong_kind(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Each is left out, with a note that says what it must be; of the others the task is made."""
    path = checkpoint(tmp_path)
    given = {"p": 5, "fn_name": "add", "frac_train": 0.4, "seed": 1, **fields}
    (tmp_path / "cfg.json").write_text(json.dumps(given))
    (note,) = [n for n in interp.load(path).provenance.notes if n.startswith("cfg.json: ")]
    assert f"{next(iter(fields))} was ignored: it must be " in note
    torch.save({"model": torch.load(path, weights_only=True), "config": given}, path)
    (tmp_path / "cfg.json").unlink()
    notes = [n for n in interp.load(path).provenance.notes if n.startswith("the config in the file: ")]
    assert len(notes) == 1


def test_values_out_of_range(tmp_path: Path) -> None:
    """A config whose task cannot be is a note, too."""
    path = checkpoint(tmp_path)
    (tmp_path / "cfg.json").write_text('{"p": -3, "fn_name": "add"}')
    subject = interp.load(path)
    assert subject.task is None
    assert any("the config names no task that can be used" in n for n in subject.provenance.notes)


def test_the_other_config_is_used(tmp_path: Path) -> None:
    """A damaged cfg.json does not hide a good config.json."""
    path = checkpoint(tmp_path)
    (tmp_path / "cfg.json").write_text("{")
    (tmp_path / "config.json").write_text('{"act_fn": "tanh"}')
    assert interp.load(path).model.config.to_dict()["act_fn"] == "tanh"


@pytest.mark.parametrize(
    "change",
    [
        {"step": True}, {"step": 10**400}, {"step": "3"}, {"members": 1.5}, {"task": [1]},
        {"task": {"name": "modular", "p": "x"}},
        {"config": 3}, {"config": {"kind": "mlp", "hidden": [10**400], "d_in": 4, "d_out": 3}},
        {"config": {"kind": "mlp", "hidden": [6], "d_in": 4, "d_out": 3, "dropout": "x"}},
        {"config": {**SMALL, "n_layers": 10**9}},
        {"config": {"kind": "cppn", "arch": "999999999;sin:2"}},
    ],
    ids=lambda c: str(c)[:40],
)  # fmt: skip
def test_our_own_header(tmp_path: Path, change: dict[str, Any]) -> None:
    """Values of the wrong kind in the header of a checkpoint are one message with the file in it."""
    header = {"version": "1", "config": {"kind": "mlp", "hidden": [6], "d_in": 4, "d_out": 3}, "step": 3, **change}
    path = tmp_path / "model.safetensors"
    save_file({"layers.0.W": torch.zeros(4, 6)}, path, {HEADER: json.dumps(header)})
    with pytest.raises(interp.InterpError, match=r"model\.safetensors"):
        interp.load(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "3", "{"], ids=lambda t: t[:6])
def test_a_header_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"layers.0.W": torch.zeros(4, 6)}, path, {HEADER: text})
    with pytest.raises(UnreadableFile, match=r"model\.safetensors.*header's 'interp' entry"):
        interp.load(path)
