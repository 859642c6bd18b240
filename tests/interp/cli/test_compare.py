"""``interp compare`` and ``interp draw``: what they write and say, and everything that they refuse."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from interp.picbreeder import read
from interp.plugins.analysis import analyses
from tests.interp.cli.console import Refused, Run, snapshot
from tests.interp.picbreeder.genomes import link_xml, random_sketch, small, zipped

ONLY = ("--only", "feature_maps", "--set", "feature_maps.size=8", "--device", "cpu")
SMALL = small().xml()


@pytest.fixture
def genomes(work: Path) -> Path:
    """Two genomes beside the files of ``work``."""
    (work / "a.xml").write_text(SMALL)
    (work / "b.xml").write_text(random_sketch(5).xml())
    return work


def test_compare(run: Run, genomes: Path) -> None:
    """Both networks, a headline about the second, the report's place; the report has what was asked."""
    ran = run("compare", "a.xml", "b.xml", "--out", "made", *ONLY)
    assert (ran.code, ran.err) == (0, "")
    first, *others = ran.out.splitlines()
    assert first == "a.xml and b.xml"
    assert others[0].startswith("  feature_maps: b.xml has ")
    assert others[-1] == "Report: made/index.html"
    data = json.loads((genomes / "made" / "result.json").read_text())
    assert list(data["subjects"]) == ["a.xml", "b.xml"]
    assert list(data["comparisons"]) == ["feature_maps"]
    for own in data["subjects"].values():
        assert set(own["analyses"]) == {"feature_maps"}
        assert own["analyses"]["feature_maps"]["context"]["options"]["size"] == 8


def test_the_same_network_twice_differs_in_nothing(run: Run, genomes: Path) -> None:
    """Every number of the pair is equal."""
    assert run("compare", "a.xml", "a.xml", *ONLY).code == 0
    one, two = json.loads(Path("report/result.json").read_text())["subjects"].values()
    assert one["analyses"]["feature_maps"]["metrics"] == two["analyses"]["feature_maps"]["metrics"]


def test_a_comparison_over_a_comparison(run: Run, genomes: Path) -> None:
    """Replaces it without being forced."""
    assert run("compare", "a.xml", "b.xml", "a.xml", *ONLY).code == 0
    assert run("compare", "b.xml", "a.xml", *ONLY).code == 0
    pictures = {p.name.split(".")[0] for p in Path("report/pictures").iterdir()}
    assert pictures == {"0", "1"}


def test_folders_that_are_no_report_are_refused(refused: Refused, genomes: Path) -> None:
    """Before anything is loaded, the missing file too."""
    assert "choose another folder with --out" in refused("compare", "gone.xml", "b.xml", "--out", "steps")
    assert "not a folder" in refused("compare", "a.xml", "b.xml", "--out", "a.xml")


@pytest.mark.parametrize("name", ["[red]x", "[bold]", "a:x:b", "<b>", "a; b", "ünï ☃ 雪"])
def test_names_are_printed_literally(run: Run, genomes: Path, name: str) -> None:
    """Markup in a file's name reaches the reader as it is."""
    (genomes / f"{name}.xml").write_text(SMALL)
    ran = run("compare", "a.xml", f"{name}.xml", *ONLY)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == f"a.xml and {name}.xml"
    assert f"  feature_maps: {name}.xml has " in ran.out


def test_networks_that_cannot_be_compared_so(run: Run, genomes: Path) -> None:
    """An MLP among images: it is skipped, the two images are compared."""
    ran = run("compare", "a.xml", "mlp.safetensors", "b.xml", *ONLY)
    assert ran.code == 0
    data = json.loads(Path("report/result.json").read_text())
    assert data["subjects"]["mlp.safetensors"]["analyses"]["feature_maps"]["status"] == "skipped"
    assert "b.xml has" in data["comparisons"]["feature_maps"]["headline"]


def test_an_analysis_that_applies_to_none(refused: Refused, genomes: Path) -> None:
    """Asked for by name it is an error, with the reason, before anything runs."""
    said = refused("compare", "a.xml", "b.xml", "--only", "feature_maps,fourier")
    assert "fourier does not apply: needs a task" in said
    assert "feature_maps does" not in said


def test_a_failed_analysis(run: Run, genomes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is written; each failure is on standard error, and the exit code is 1."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    (module,) = {analyses()[0]["feature_maps"].function.__module__}
    monkeypatch.setattr(f"{module}.Result", fail)
    ran = run("compare", "a.xml", "b.xml", *ONLY)
    assert ran.code == 1
    assert ran.err.splitlines()[:2] == [f"failed {n}.xml, feature_maps: RuntimeError: no" for n in "ab"]
    assert Path("report/index.html").is_file()


class Call:
    """Pickles as a call of ``os.system`` that would leave a file behind."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch RAN",)


def xml(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "bad.xml").write_text(text) and None


def replaced(old: str, new: str) -> Callable[[Path], None]:
    assert old in SMALL
    return xml(SMALL.replace(old, new, 1))


def bomb(folder: Path) -> None:
    zipped(folder, {"a": SMALL.encode() + b"<!--" + bytes(32 << 20)})


def payload(folder: Path) -> None:
    (folder / "bad.pkl").write_bytes(pickle.dumps({"params": Call()}))


def misfit(folder: Path) -> None:
    np.savez(folder / "bad.npz", **{"arch": np.array("1;cache:2,sin:1"), "params/Dense_0/kernel": np.ones((4, 2)),
                                    "params/Dense_1/kernel": np.ones((2, 3))})  # fmt: skip


ENTITY = '<!DOCTYPE data [<!ENTITY a "2.0">]>'
CYCLE = replaced(link_xml("0_2", "1_1", 2.0), link_xml("0_5", "1_2", 2.0))

# name of the row: what writes the file, its name, what the message holds
BAD: dict[str, tuple[Callable[[Path], None], str, tuple[str, ...]]] = {
    "missing": (lambda _: None, "gone.xml", ("no file", "gone.xml")),
    "zip bomb": (bomb, "genome.zip", ("genome.zip", "more than 2 MiB")),
    "entities": (
        xml(SMALL.replace("?>\n", f"?>\n{ENTITY}", 1).replace(">2.0<", ">&a;<", 1)),
        "bad.xml",
        ("does not need",),
    ),
    "half": (xml(SMALL[: len(SMALL) // 2]), "bad.xml", ("bad.xml", "truncated")),
    "counts that do not fit": (replaced('<nodes count="9"', '<nodes count="12"'), "bad.xml", ("truncated", "12 nodes")),
    "missing node": (
        replaced(link_xml("0_2", "1_1", 2.0), link_xml("0_2", "7_7", 2.0)),
        "bad.xml",
        ("not a node", "7_7"),
    ),
    "cycle": (CYCLE, "bad.xml", ("cycle", "0_5", "1_2", " -> ")),
    "activation": (replaced("sin(x)", "sine(x)"), "bad.xml", ("'sine'", "did you mean 'sin'")),
    "two outputs of one name": (
        replaced('label="hue"', 'label="saturation"'),
        "bad.xml",
        ("two outputs are saturation",),
    ),
    "architecture that does not fit": (misfit, "bad.npz", ("1;cache:2,sin:1", "does not fit")),
    "pickle that calls": (payload, "bad.pkl", ("bad.pkl",)),
}


@pytest.mark.parametrize("command", ["compare", "draw"])
@pytest.mark.parametrize("row", BAD)
def test_bad_files(refused: Refused, genomes: Path, command: str, row: str) -> None:
    """One message that names the file, exit code 2, no traceback, nothing written, nothing run."""
    make, name, parts = BAD[row]
    make(genomes)
    said = refused("compare", "a.xml", name, *ONLY) if command == "compare" else refused("draw", name, "out.png")
    missing = [part for part in (name, *parts) if part not in said]
    assert not missing, f"{missing} not in: {said}"
    assert not (genomes / "RAN").exists()


OPTIONS: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "one source": (("compare", "a.xml"), ("two",)),
    "no source": (("compare",), ("sources",)),
    "unknown analysis": (("compare", "a.xml", "b.xml", "--only", "feature_map"), ("'feature_map'", "'feature_maps'")),
    "unknown option": (("compare", "a.xml", "b.xml", "--set", "feature_maps.sise=8"), ("'sise'", "'size'")),
    "no analysis": (("compare", "a.xml", "b.xml", "--only", ","), ("names no analysis",)),
    "unknown device": (("compare", "a.xml", "b.xml", "--device", "gpu"), ("'gpu'",)),
    "unknown dtype": (("compare", "a.xml", "b.xml", "--dtype", "float46"), ("'float46'",)),
    "empty folder": (("compare", "a.xml", "empty"), ("empty",)),
    "no picture": (("draw", "mlp.safetensors", "x.png"), ("mlp.safetensors", "HookedMLP", "does not draw an image")),
    "jpeg": (("draw", "a.xml", "x.jpg"), ("x.jpg must end in .png",)),
    "size 0": (("draw", "a.xml", "x.png", "--size", 0), ("--size", "equal to 1")),
    "size of a planet": (("draw", "a.xml", "x.png", "--size", 10**9), ("8192",)),
    "x of one number": (("draw", "a.xml", "x.png", "--x=1"), ("--x '1'", "--x=-1,1")),
    "x of words": (("draw", "a.xml", "x.png", "--x=a,b"), ("--x 'a,b'",)),
    "x of nothing": (("draw", "a.xml", "x.png", "--x="), ("--x is empty",)),
    "y of three": (("draw", "a.xml", "x.png", "--y=1,2,3"), ("--y '1,2,3'",)),
    "y that is none": (("draw", "a.xml", "x.png", "--y=nan,1"), ("--y 'nan,1'",)),
    "y without extent": (("draw", "a.xml", "x.png", "--y=1,1"), ("no extent",)),
    "member": (("draw", "a.xml", "x.png", "--member", 3), ("member", "3")),
    "folder that is a file": (("draw", "a.xml", "b.xml/x.png"), ("b.xml",)),
}  # fmt: skip


@pytest.mark.parametrize("row", OPTIONS)
def test_bad_options(refused: Refused, genomes: Path, row: str) -> None:
    """Each names what was typed; nothing is written."""
    (genomes / "empty").mkdir()
    argv, parts = OPTIONS[row]
    said = refused(*argv)
    missing = [part for part in parts if part not in said]
    assert not missing, f"{missing} not in: {said}"


@pytest.mark.parametrize(("argv", "size", "spans"), [
    ((), 256, ((-1, 1), (-1, 1))),
    (("--size", 7), 7, ((-1, 1), (-1, 1))),
    (("--size", 1), 1, ((-1, 1), (-1, 1))),
    (("--size", 9, "--x=-0.5,0", "--y=-0.6,2"), 9, ((-0.5, 0), (-0.6, 2))),
    (("--size", 9, "--x", "1,-1"), 9, ((1, -1), (-1, 1))),
])  # fmt: skip
def test_draw(run: Run, genomes: Path, argv: tuple[object, ...], size: int, spans: tuple) -> None:
    """The file is what the graph draws there, at that size; the line says where it is."""
    ran = run("draw", "a.xml", "a.png", *argv)
    assert (ran.code, ran.err, ran.out) == (0, "", f"a.png: {size} x {size} pixels\n")
    with Image.open("a.png") as written:
        shown = np.asarray(written).astype(int)
    expected = read(genomes / "a.xml").draw(size, *spans).bytes().astype(int)
    assert shown.shape == (size, size, 3)
    assert np.abs(shown - expected).max() <= 1


def test_draw_over_a_file(run: Run, refused: Refused, genomes: Path) -> None:
    """Only when forced."""
    (genomes / "a.png").write_text("mine")
    assert "--force" in refused("draw", "a.xml", "a.png")
    assert run("draw", "a.xml", "a.png", "--size", 4, "--force").code == 0
    assert (genomes / "a.png").read_bytes().startswith(b"\x89PNG")


def test_draw_over_a_folder(refused: Refused, genomes: Path) -> None:
    """A folder is not overwritten, whatever is said."""
    (genomes / "x.png").mkdir()
    assert "x.png" in refused("draw", "a.xml", "x.png", "--force", "--size", 4)


@pytest.mark.parametrize(("command", "parts"), [
    ("compare", ("Example: interp compare skull.zip", "--only", "--force", "--out", "folders of runs")),
    ("draw", ("Example: interp draw skull.zip skull.png", "--x=-0.5,0", "--size", "--member")),
])  # fmt: skip
def test_help_has_an_example(run: Run, work: Path, command: str, parts: tuple[str, ...]) -> None:
    """One that can be typed, and every option with what it means."""
    before = snapshot(work)
    ran = run(command, "--help")
    assert (ran.code, ran.err) == (0, "")
    missing = [part for part in parts if part not in " ".join(ran.out.split())]
    assert not missing
    assert snapshot(work) == before


def test_help_names_both(run: Run, work: Path) -> None:
    out = run("--help").out
    assert all(f" {command} " in out for command in ("compare", "draw"))


@pytest.mark.real_data
def test_the_skull(run: Run, work: Path, data: Path) -> None:
    """The evolved and the trained one, straight from the published files."""
    folder = data / "picbreeder"
    ran = run("compare", folder / "skull.zip", folder / "sgd_skull.npz", *ONLY)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("skull.zip and sgd_skull.npz\n")


def test_options_of_each_network(run: Run, work: Path) -> None:
    """Once for all, once for each in their order, or by name; the report says what was read."""
    assert run("compare", "steps", "steps", "--step", 0, "--step", 10, "--only", "weights").code == 0
    data = json.loads(Path("report/result.json").read_text())["subjects"]
    assert {name: one["subject"]["step"] for name, one in data.items()} == {"steps step=0": 0, "steps step=10": 10}
    argv = ("compare", "mlp.safetensors", "chain.pt", "steps", "--only", "weights", "--json")
    ran = run(
        *argv, "--task", "modular:p=7,seed=3", "--task", "chain.pt=modular:p=7,operation=subtract", "--step", "steps=10"
    )
    tasks = [one["subject"]["task"] for one in json.loads(ran.out)["subjects"].values()]
    assert [("operation=subtract" in task, "seed=3" in task) for task in tasks] == [
        (False, True),
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize(("typed", "parts"), [
    (("--task", "modular:p=11"), ("mlp.safetensors", "p=11")),
    (("--task", "chain.pt=modular:p=11"), ("chain.pt", "p=11")),
    (("--layout", "chain.pt=linear_chin"), ("chain.pt", "linear_chain")),
    (("--step", "chain.pt=3"), ("chain.pt", "step")),
    (("--step", "chain.pt=x"), ("chain.pt: --step must be a whole number", "'x'")),
    (("--member", "-1"), ("mlp.safetensors: --member",)),
    (("--key", "chain.pt=a", "--key", "chain.pt=b"), ("--key is given twice for chain.pt",)),
    (("--key", "a", "--key", "b", "--key", "c"), ("--key is given 3 times for 2 networks", "--key chain.pt=VALUE")),
])  # fmt: skip
def test_errors_name_the_network(refused: Refused, work: Path, typed: tuple[str, ...], parts: tuple[str, ...]) -> None:
    """Whatever is wrong with one of them."""
    said = refused("compare", "mlp.safetensors", "chain.pt", "--only", "weights", *typed)
    missing = [part for part in parts if part not in said]
    assert not missing, said
