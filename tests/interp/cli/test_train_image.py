"""``interp train image``: twins of an evolved network, their architectures and members, and pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import interp
from interp import HookedCPPN
from interp.hooked.cppn.config import variant
from interp.picbreeder import read
from interp.training import memory
from tests.interp.cli.console import Refused, Run, snapshot
from tests.interp.picbreeder.genomes import small

TINY = ("--size", 8, "--steps", 3, "--device", "cpu")
IMAGE = ("image", "--target", "target.png", *TINY)
ARCH = ("--arch", "1;cache:1,sin:2")


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def files(work: Path) -> Path:
    """A genome, the picture that it draws, one of another shape, and one that is half transparent."""
    (work / "genome.xml").write_text(small().xml())
    read(work / "genome.xml").draw(16).save(work / "target.png")
    Image.linear_gradient("L").resize((12, 8)).save(work / "wide.png")
    clear = np.full((8, 8, 4), 200, dtype=np.uint8)
    clear[..., 3] = [[0]] * 4 + [[255]] * 4
    Image.fromarray(clear).save(work / "clear.png")
    return work


def trained(run: Run, *argv: object, said: str = "") -> None:
    ran = run("train", *argv)
    assert ran.code == 0, ran.err
    assert said in ran.said
    assert ran.err == "" or said


def plan(folder: str) -> dict[str, Any]:
    return json.loads((Path(folder) / "run.json").read_text())


def arch(folder: str) -> str:
    return plan(folder)["model"]["arch"]


def test_widths_and_variants_are_runs(run: Run, work: Path) -> None:
    """Each in a folder of its name, with the architecture of `variant`; what would be the same is trained once."""
    trained(run, *IMAGE, "--arch-of", "genome.xml", "--width", "1,2", "--variant", "plain,gaussian-adjusted,relu",
            "--out", "runs")  # fmt: skip
    config = read("genome.xml").layered().config
    expected = {
        "width-1": variant(config), "width-2": variant(config, 2),
        "width-2-gaussian-adjusted": variant(config, 2, "gaussian-adjusted"),
        "width-1-relu": variant(config, 1, "relu"), "width-2-relu": variant(config, 2, "relu"),
    }  # fmt: skip
    assert {p.name for p in Path("runs").iterdir()} == set(expected)
    for name, own in expected.items():
        stored = plan(f"runs/{name}")
        assert stored["model"]["arch"] == own.arch
        assert stored["task"]["target"].endswith("target.png")
        assert (stored["steps"], stored["normalise"], stored["optimizer"]["lr"]) == (3, True, 3e-3)
        model = interp.load(f"runs/{name}", device="cpu").model
        assert isinstance(model, HookedCPPN)
        assert model.config == own


def test_one_architecture_is_one_run(run: Run, work: Path) -> None:
    """In the folder itself, whatever its width; without any option it is the skull's."""
    trained(run, *IMAGE, "--arch-of", "genome.xml", "--width", 3, "--out", "one")
    assert arch("one") == variant(read("genome.xml").layered().config, 3).arch
    trained(run, *IMAGE, "--width", 1, "--out", "skull")
    trained(run, *IMAGE, "--out", "default")
    assert arch("skull") == arch("default") == "12;cache:15,gaussian:4,identity:2,sin:1"


def test_training_is_that_of_one_network_alone(run: Run, work: Path) -> None:
    """Weight decays make members; one of them is the network trained alone with that decay, and decay matters."""
    decays = ("0", "0.001", "5")
    trained(run, *IMAGE, *ARCH, "--weight-decay", ",".join(decays), "--out", "many", "--dtype", "float64")
    assert [m["weight_decay"] for m in plan("many")["members"]] == [0, 0.001, 5]
    members = [interp.load("many", member=i, device="cpu").model for i in range(3)]
    assert not torch.equal(members[0].layers[0].W, members[2].layers[0].W)
    for i, decay in enumerate(decays):
        trained(run, *IMAGE, *ARCH, "--weight-decay", decay, "--out", f"alone {i}", "--dtype", "float64")
        alone = interp.load(f"alone {i}", device="cpu").model
        for a, b in zip(members[i].parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_the_loss_is_that_of_the_picture(run: Run, work: Path) -> None:
    """The last measured loss is the mean squared error of what is drawn to what was asked, and it fell."""
    trained(run, *IMAGE, *ARCH, "--metrics", "0,60", "--steps", 60, "--out", "one", "--dtype", "float64")
    rows = [json.loads(line) for line in Path("one/metrics.jsonl").read_text().splitlines()]
    subject = interp.load("one", device="cpu")
    assert isinstance(subject.model, HookedCPPN)
    drawn = subject.model.double().draw(8).pixels
    with Image.open("target.png") as target:
        wanted = np.asarray(target.convert("RGB").resize((8, 8), Image.Resampling.LANCZOS)) / 255
    error = float((drawn - torch.from_numpy(wanted)).square().mean())
    first, last = (row["train_loss"] for row in rows)
    flat = [v[0] if isinstance(v, list) else v for v in (first, last)]
    assert flat[1] == pytest.approx(error, rel=1e-4)
    assert flat[1] < flat[0]


def test_compare_the_genome_with_its_twins(run: Run, work: Path) -> None:
    """From a genome to a report in two commands: the evolved network first, then every member of every run."""
    trained(run, *IMAGE, "--arch-of", "genome.xml", "--width", "1,2", "--weight-decay", "0,0.1", "--out", "twins")
    ran = run("compare", "genome.xml", "twins", "--only", "feature_maps", "--device", "cpu")
    assert (ran.code, ran.err) == (0, "")
    subjects = json.loads(Path("report/result.json").read_text())["subjects"]
    names = [f"twins/width-{w} weight_decay={d}" for w in (1, 2) for d in ("0", "0.1")]
    assert [n.replace("=0.0", "=0") for n in subjects] == ["genome.xml", *names]
    totals = [own["total_units"] for own in subjects.values()]
    assert totals[0] == totals[1] == totals[2] == totals[3] // 2 == totals[4] // 2


def test_batches_of_pixels(run: Run, work: Path) -> None:
    """Random pixels at every step: another run than the whole image, the same for the same seed, recorded as asked."""
    for name, batch in (("whole", "full"), ("some", "10"), ("again", "10")):
        trained(run, *IMAGE, *ARCH, "--batch-size", batch, "--out", name)
    weights = {n: interp.load(n, device="cpu").model.layers[0].W for n in ("whole", "some", "again")}
    assert torch.equal(weights["some"], weights["again"])
    assert not torch.equal(weights["some"], weights["whole"])
    assert plan("some")["batch_size"] == 10


def test_resume(run: Run, work: Path) -> None:
    """Three steps and two more are five at once."""
    trained(run, *IMAGE, *ARCH, "--out", "made")
    trained(run, "--resume", "made", "--steps", 5)
    trained(
        run, "image", "--target", "target.png", "--size", 8, "--steps", 5, *ARCH, "--device", "cpu", "--out", "once"
    )
    one, other = (interp.load(n, device="cpu") for n in ("made", "once"))
    assert one.step == other.step == 5
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("how", "words"), [("crop", "its middle, 8 x 8, is used"), ("stretch", "stretched to a square")]
)
def test_pictures_that_are_not_square(run: Run, work: Path, how: str, words: str) -> None:
    """What was done is said on standard error, once, and kept with the run."""
    ran = run("train", "image", "--target", "wide.png", "--non-square", how, *TINY, *ARCH, "--out", "made")
    assert ran.code == 0
    assert ran.said.startswith("note: ")
    assert ran.said.count(words) == 1
    assert "12 x 8 pixels" in ran.said
    assert plan("made")["task"]["non_square"] == how
    assert interp.load("made", device="cpu").task.labels.shape == (64, 3)


def test_a_transparent_picture(run: Run, work: Path) -> None:
    """Said to be shown on white, and so it is; an alpha channel that hides nothing is not mentioned."""
    trained(run, "image", "--target", "clear.png", *TINY, *ARCH, "--out", "made", said="note: ")
    labels = interp.load("made", device="cpu").task.labels.reshape(8, 8, 3)
    assert (labels[:4] == 1).all()
    assert labels[4:].max() < 0.8
    Image.new("RGBA", (8, 8), (9, 9, 9, 255)).save("opaque.png")
    trained(run, "image", "--target", "opaque.png", *TINY, *ARCH, "--out", "opaque")


MODEL = ("--model", "mlp:hidden=4")
REFUSED: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "no target": (("image", *TINY), ("--target",)),
    "missing target": (("image", "--target", "gone.png", *TINY), ("gone.png",)),
    "target that is a genome": (("image", "--target", "genome.xml", *TINY), ("genome.xml", "known format")),
    "not square": (("image", "--target", "wide.png", *TINY), ("12 x 8", "--non-square", "stretch", "crop", "--size 0")),
    "unknown treatment": (("image", "--target", "wide.png", "--non-square", "crap", *TINY), ("'crap'", "'crop'")),
    "size below 0": (("image", "--target", "target.png", "--size", -1), ("size", "-1")),
    "two architectures": ((*IMAGE, *ARCH, "--arch-of", "genome.xml"), ("--arch-of or --arch",)),
    "model and architecture": ((*IMAGE, *ARCH, *MODEL), ("--model", "--arch")),
    "model and width": ((*IMAGE, *MODEL, "--width", 2), ("--model", "--width")),
    "architecture of an MLP": ((*IMAGE, "--arch-of", "mlp.safetensors"), ("mlp.safetensors", "not a CPPN")),
    "architecture of nothing": ((*IMAGE, "--arch-of", "gone.zip"), ("no file", "gone.zip")),
    "no architecture": ((*IMAGE, "--arch", "cache"), ("architecture 'cache'", "12;cache:15")),
    "empty architecture": ((*IMAGE, "--arch", ""), ("--arch is empty",)),
    "unknown activation": ((*IMAGE, "--arch", "2;sine:3"), ("'sine'", "'sin'")),
    "activation twice": ((*IMAGE, "--arch", "2;sin:1,sin:2"), ("twice",)),
    "no layers": ((*IMAGE, "--arch", "0;sin:1"), ("0 layers",)),
    "width 0": ((*IMAGE, *ARCH, "--width", "0"), ("width", "0")),
    "half a width": ((*IMAGE, *ARCH, "--width", "1,1.5"), ("whole numbers", "1.5")),
    "width that is a word": ((*IMAGE, *ARCH, "--width", "wide"), ("width", "wide")),
    "width of a planet": ((*IMAGE, *ARCH, "--width", "1000000"), ("1;cache:1000000", "100,000")),
    "unknown variant": ((*IMAGE, *ARCH, "--variant", "gausian-adjusted"), ("gausian", "'gaussian-adjusted'")),
    "no variant": ((*IMAGE, *ARCH, "--variant", ","), ("variant",)),
    "batch of nothing": ((*IMAGE, *ARCH, "--batch-size", 0), ("--batch-size must be at least 1",)),
}


@pytest.mark.parametrize("row", REFUSED)
def test_refused(refused: Refused, files: Path, row: str) -> None:
    """One message, exit code 2, nothing written."""
    argv, parts = REFUSED[row]
    said = refused("train", *argv, "--out", "new")
    missing = [part for part in parts if part not in said]
    assert not missing, f"{missing} not in: {said}"


def test_a_folder_of_runs_is_not_trained_into(refused: Refused, run: Run, work: Path) -> None:
    """Runs that are there already stay as they are, and nothing is trained beside them before that is said."""
    several = (*IMAGE, *ARCH, "--width", "1,2", "--out", "runs")
    trained(run, *several)
    before = snapshot(work / "runs")
    assert "runs" in refused("train", *several)
    assert "runs" in refused("train", *IMAGE, *ARCH, "--width", "3,2", "--out", "runs")
    assert snapshot(work / "runs") == before


def test_runs_that_do_not_fit_are_refused_before_any_is_trained(
    refused: Refused, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is too large: the first, which may take hours, is not trained before that is said."""
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1 << 23)
    assert "GiB" in refused("train", *IMAGE, *ARCH, "--width", "1,20000", "--out", "runs")


@pytest.mark.parametrize(("argv", "found"), [
    (("--variant", "gaussian-adjusted"), {"width-1-gaussian-adjusted", "width-2-gaussian-adjusted"}),
    (("--variant", "relu,relu"), {"width-1-relu", "width-2-relu"}),
    ((), {"width-1", "width-2"}),
])  # fmt: skip
def test_names_of_runs(run: Run, work: Path, argv: tuple[str, ...], found: set[str]) -> None:
    """The kind is left out where it is plain, and the same architecture is not trained twice."""
    trained(run, *IMAGE, "--arch", "1;gaussian:1,sin:1", "--width", "1,2,1", *argv, "--out", "runs")
    assert {p.name for p in Path("runs").iterdir()} == found
