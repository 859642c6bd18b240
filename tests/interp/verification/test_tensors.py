"""Tensors and values in files, beside what torch and numpy say of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.interp.verification.tables import replay

WEIGHTS = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    held = {"w": WEIGHTS, "loss": torch.tensor([3.0, 2.0, 1.5]), "c": torch.complex(WEIGHTS, WEIGHTS + 1)}
    held |= {"d": torch.complex(WEIGHTS, WEIGHTS), "n": torch.tensor([2**60 + 1]), "m": torch.tensor([2**60])}
    torch.save({**held, "empty": torch.zeros(0), "cfg": {"lr": 1e-3, "none": None}}, tmp_path / "s.pt")
    torch.save(WEIGHTS, tmp_path / "one.pt")
    np.savez(tmp_path / "z.npz", u=np.uint16([1, 0, 2]), rgb=np.full((4, 4, 3), 255, np.uint8))
    np.savez(tmp_path / "float.npz", rgb=np.ones((4, 4, 3)))
    (tmp_path / "cut.pt").write_bytes((tmp_path / "s.pt").read_bytes()[:200])
    return tmp_path


AGREE = {
    "the last of a tensor": ("s.pt", "recorded", 'path = "loss.-1"\npublished = 1.5'),
    "an entry of a matrix": ("s.pt", "recorded", f'path = "w.1.2"\npublished = {WEIGHTS[1, 2].item():.4f}'),
    "complex": ("s.pt", "tensor.difference", 'tensor = "c"\nother = "d"\npublished = 1.0'),
    "whole numbers of 60 bits": ("s.pt", "tensor.difference", 'tensor = "n"\nother = "m"\npublished = 1'),
    "a file of one tensor": ("s.pt", "tensor.difference", 'tensor = "w"\nbeside = "one.pt"\npublished = 0.0'),
    "numbers without a sign": ("z.npz", "tensor.nonzero", 'tensor = "u"\npublished = 2'),
    "colours as bytes": ("z.npz", "picture.difference", 'beside = "float.npz"\npublished = 0.0'),
    "one of the files is described": (
        "s.pt", "tensor.difference", 'tensor = "w"\nbeside = "one.pt"\npublished = 0.0\n[files."one.pt"]\nlayout = "tensors"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AGREE)
def test_a_number_as_torch_has_it(name: str, folder: Path) -> None:
    verdict = replay(folder, *AGREE[name]).verdict
    assert verdict.agreement == "agrees", verdict


REFUSED = {
    "beyond the last": ("s.pt", "recorded", 'path = "loss.3"', "there are 3 values, by places from 0"),
    "below a number": ("s.pt", "recorded", 'path = "cfg.lr.x"', "there is one value; nothing is at 'x'"),
    "null": ("s.pt", "recorded", 'path = "cfg"', "cfg.none is null"),
    "no range": ("s.pt", "tensor.range", 'tensor = "empty"', "is empty, and has no range"),
    "an index that is none": ("one.pt", "tensor.entry", "index = [0, 5]", "has the shape [4, 3], and no entry [0, 5]"),
    "no other network": ("s.pt", "network.difference", 'beside = ""', "name it with beside"),
    "no tensor of several": ("s.pt", "tensor.shape", "", "holds several tensors: name one, tensor = ..."),
    "weights_only of a file that is not there": ("t.pt", "file.weights_only", "", "no t.pt in"),
    "weights_only of a file that was cut off": ("cut.pt", "file.weights_only", "", "truncated"),
    "a table under a path": ("t.csv", "recorded", 'path = "x"', "is a table, of which table.value gives a cell"),
    "a folder": ("run", "recorded", "", "run is a folder"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_such_number(name: str, folder: Path) -> None:
    """Neither false, nor 0, nor the number of another file."""
    (folder / "t.csv").write_text("x\n1\n")
    (folder / "run").mkdir()
    file, quantity, fields, said = REFUSED[name]
    verdict = replay(folder, file, quantity, f"{fields}\npublished = 1").verdict
    assert verdict.agreement == "cannot be replayed"
    assert said in verdict.reason
