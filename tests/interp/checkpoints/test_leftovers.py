"""Files beside checkpoints, folders of the Trainer, genomes of old protocols, XML in UTF-16, programs of torch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import interp
from interp.errors import InterpError, UnreadableFile
from tests.interp.checkpoints.files import weights
from tests.interp.neat.pickles import pickled, small

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1234567\n"
GENOME = """<?xml version="1.0" encoding="UTF-16"?><genome id="1"><nodes count="3">
<node type="in" label="x"><marking branch="1" id="0"/><activation>identity(x)</activation></node>
<node type="in" label="y"><marking branch="1" id="1"/><activation>identity(x)</activation></node>
<node type="out" label="ink"><marking branch="1" id="2"/><activation>sin(x)</activation></node></nodes>
<links count="1"><link><marking branch="2" id="0"/><source branch="1" id="0"/><target branch="1" id="2"/>
<weight>1.5</weight></link></links></genome>"""


@pytest.mark.parametrize("name", ["cfg.json", "config.json"])
def test_a_pointer_in_place_of_a_config_is_named(name: str, tmp_path: Path) -> None:
    """In the notes of `load` and in those of `inspect`: the checkpoint is good without it."""
    torch.save(weights(), tmp_path / "m.pt")
    (tmp_path / name).write_bytes(POINTER)
    for notes in (str(interp.load(tmp_path, device="cpu").provenance.notes), interp.inspect(tmp_path).facts["notes"]):
        assert "Git LFS pointer" in notes
        assert "git lfs pull" in notes
        assert "1234567" in notes


@pytest.mark.parametrize("name", ["run.json", "metrics.jsonl"])
def test_a_pointer_in_a_run_is_named(name: str, tmp_path: Path) -> None:
    interp.train("addition:p=4", steps=2, out=tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(POINTER)
    with pytest.raises(UnreadableFile, match="Git LFS pointer"):
        interp.load(tmp_path / "run", device="cpu")


def trainer(folder: Path, steps: tuple[int, ...]) -> Path:
    """A folder as Hugging Face's Trainer writes it."""
    for step in steps:
        inner = folder / f"checkpoint-{step}"
        inner.mkdir(parents=True)
        save_file(weights(step), inner / "model.safetensors")
        (inner / "config.json").write_text("{}")
        torch.save({"state": {}}, inner / "optimizer.pt")
        torch.save([1], inner / "training_args.bin")
    return folder


def test_folders_of_the_trainer_are_a_series(tmp_path: Path) -> None:
    """In the order of the steps, not of the names; the model beside them is left out, with a note."""
    folder = trainer(tmp_path / "out", (500, 1000, 20000, 1500))
    assert interp.load(folder / "checkpoint-1500", device="cpu").step == 1500
    save_file(weights(3), folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    subject = interp.load(folder, device="cpu")
    assert subject.series is not None
    assert list(subject.series.steps) == [500, 1000, 1500, 20000]
    assert subject.step == 20000
    middle = interp.load(folder, step=1000, device="cpu").model
    assert any(torch.equal(t, weights(1000)["0.bias"]) for t in middle.state_dict().values())
    assert "left out of the series" in str(subject.provenance.notes)


@pytest.mark.parametrize("protocol", range(6))
def test_genomes_of_every_protocol(protocol: int, tmp_path: Path) -> None:
    """Protocols 0 and 1 begin objects by copyreg._reconstructor."""
    path = tmp_path / "winner.pkl"
    path.write_bytes(pickled(small(), protocol=protocol))
    genome = interp.load(path, device="cpu").genome
    assert genome is not None
    assert [(link.source, link.target, link.weight) for link in genome.links] == [
        ("-1", "1", 1.0),
        ("-2", "1", -0.5),
        ("1", "0", 2.0),
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_xml_in_utf_16(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_bytes(GENOME.encode(encoding))
    (tmp_path / "y.xml").write_text(GENOME.replace("UTF-16", "UTF-8"))
    one, other = (interp.load(tmp_path / f"{n}.xml", device="cpu").model for n in "xy")
    x = torch.rand(5, 4, dtype=torch.float64)
    assert torch.equal(one(x), other(x))


@pytest.mark.filterwarnings("ignore")
def test_programs_are_named_with_the_way_on(tmp_path: Path) -> None:
    torch.jit.script(nn.Sequential(nn.Linear(3, 4), nn.ReLU())).save(str(tmp_path / "script.pt"))
    with pytest.raises(InterpError, match=r"TorchScript archive.*torch.jit.load\(path\).state_dict\(\)"):
        interp.load(tmp_path / "script.pt", device="cpu")


def test_layers_in_dicts_are_one_network_and_steps_are_not(tmp_path: Path) -> None:
    """`flattened` and `layers_of` follow one rule."""
    layers = {f"fc{i}": {"weight": torch.ones(3, 3 + i), "bias": torch.ones(3)} for i in (1, 2)}
    torch.save(layers, tmp_path / "layers.pt")
    assert [n for n, *_ in interp.inspect(tmp_path / "layers.pt").tensors] == [
        "fc1.weight",
        "fc1.bias",
        "fc2.weight",
        "fc2.bias",
    ]
    torch.save({f"step_{i}": {"w": torch.ones(3, 2), "b": torch.ones(3)} for i in (1, 2)}, tmp_path / "steps.pt")
    assert interp.inspect(tmp_path / "steps.pt").facts["step"] == "2 checkpoints, 1 to 2"


def test_inspect_shows_what_load_notes(tmp_path: Path) -> None:
    """Also what a layout assumes."""
    torch.save(torch.nn.RNN(3, 2).state_dict(), tmp_path / "x.pt")
    notes = interp.load(tmp_path / "x.pt", device="cpu").provenance.notes
    assert notes
    assert interp.inspect(tmp_path / "x.pt").facts["notes"].splitlines() == list(notes)
