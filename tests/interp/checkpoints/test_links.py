"""Links in a folder of checkpoints: inside it they are files, out of it they are not followed, and the reader says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import interp
from interp.errors import UnreadableFile


def chain(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).state_dict()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of steps, beside a file of somebody else."""
    torch.save(chain(9), tmp_path / "private.pt")
    inner = tmp_path / "run"
    inner.mkdir()
    for step in (100, 200):
        torch.save(chain(step), inner / f"step_{step}.pt")
    return inner


def test_a_step_that_leads_out_is_left_out(folder: Path) -> None:
    (folder / "step_300.pt").symlink_to(folder.parent / "private.pt")
    subject = interp.load(folder)
    assert list(subject.series.steps) == [100, 200]
    assert any(
        "step_300.pt leads out of the folder" in note and "name the file itself" in note
        for note in subject.provenance.notes
    )
    assert len(interp.load(folder / "step_300.pt").model.state_dict()) == 4  # who names it may follow it


def test_a_link_inside_is_a_file(folder: Path) -> None:
    (folder / "step_300.pt").symlink_to("step_100.pt")
    assert list(interp.load(folder).series.steps) == [100, 200, 300]


def test_a_linked_folder_is_its_target(folder: Path) -> None:
    link = folder.parent / "latest"
    link.symlink_to(folder)
    assert list(interp.load(link).series.steps) == [100, 200]


@pytest.mark.parametrize("name", ["step_100.pt", "model.safetensors", "ll_model_1.pth"])
def test_nothing_but_links(tmp_path: Path, name: str) -> None:
    torch.save(chain(), tmp_path / "private.pt")
    inner = tmp_path / "run"
    inner.mkdir()
    (inner / "config.json").write_text("{}")
    (inner / name).symlink_to(tmp_path / "private.pt")
    with pytest.raises(UnreadableFile, match=f"{name} leads out of the folder"):
        interp.load(inner)


def test_a_shard_that_leads_out(tmp_path: Path) -> None:
    save_file(chain(), tmp_path / "private.safetensors")
    inner = tmp_path / "run"
    inner.mkdir()
    (inner / "model-00001-of-00001.safetensors").symlink_to(tmp_path / "private.safetensors")
    index = {"weight_map": dict.fromkeys(chain(), "model-00001-of-00001.safetensors")}
    (inner / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UnreadableFile, match=r"model-00001-of-00001.safetensors leads out of the folder"):
        interp.load(inner)


def test_a_config_that_leads_out_is_ignored(folder: Path) -> None:
    (folder.parent / "private.json").write_text('{"act_fn": "tanh"}')
    (folder / "config.json").symlink_to(folder.parent / "private.json")
    subject = interp.load(folder)
    assert "tanh" not in repr(subject.model.config)
    assert any("config.json leads out of the folder" in note for note in subject.provenance.notes)


def test_the_cache_of_hugging_face_is_made_of_links(tmp_path: Path) -> None:
    """Snapshots hold links into the blobs beside them, the config among them; sharded ones, too."""
    home = tmp_path / "models--somebody--tiny"
    blobs, snapshot = home / "blobs", home / "snapshots" / "0a1b2c"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    save_file(chain(), blobs / "f00d")
    (blobs / "beef").write_text('{"act_fn": "tanh"}')
    (snapshot / "model.safetensors").symlink_to("../../blobs/f00d")
    (snapshot / "config.json").symlink_to("../../blobs/beef")
    subject = interp.load(snapshot)
    assert "tanh" in repr(subject.model.config)
    (snapshot / "model.safetensors").rename(snapshot / "model-00001-of-00001.safetensors")
    index = {"weight_map": dict.fromkeys(chain(), "model-00001-of-00001.safetensors")}
    (blobs / "cafe").write_text(json.dumps(index))
    (snapshot / "model.safetensors.index.json").symlink_to("../../blobs/cafe")
    sharded = interp.load(snapshot)
    assert all(
        torch.equal(a, b)
        for a, b in zip(sharded.model.state_dict().values(), subject.model.state_dict().values(), strict=True)
    )
