"""The command line from end to end."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

import interp
from tests.conftest import DEMO, Once
from tests.interp.cli.console import Refused, Run, make_chain, make_mlp, snapshot
from tests.interp.demo_run import run_demo

IMAGE = ("genome", "feature_maps", "reduction")
ANALYSES = (
    *IMAGE, "phases", "performance", "curves", "progress", "theory", "embeddings", "decoder_plane", "densities",
    "representation_changes", "clouds", "fourier", "clock_or_pizza", "frequencies", "representations", "ablation",
    "circuit", "sweeps", "fracture", "neurons", "components", "svd", "axis_spectrum", "pca", "weights",
)  # fmt: skip
JOINT = ("similarity", "stitching", "shared_features", "interventions", "connectivity")
SINGLE = "needs several checkpoints of a run; this is a single one"
PAIRS = [(a, b) for a in range(7) for b in range(7)]


@pytest.fixture(scope="session")
def demo_run(once: Once) -> tuple[str, Path]:
    """What ``interp demo`` prints, and the folder that it writes."""
    folder = once("demo", run_demo)
    return (folder / "out").read_text(), folder / "report"


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["analyze", "--help"], ["inspect", "-h"], ["--version"], []])
def test_help_does_not_wait_for_torch(argv: list[str]) -> None:
    """Help is instant because nothing heavy is imported for it."""
    script = (
        "import sys, interp.cli as cli\n"
        f"sys.argv = ['interp', *{argv!r}]\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print('HEAVY', [m for m in ('torch', 'transformer_lens', 'pandas', 'plotly') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "HEAVY []", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["verify", ""], "argument 2"), (["inspect", ""], "argument 2"), (["compare", " ", "b.pt"], "argument 2"),
        (["draw", "a.zip", ""], "argument 3"), (["draw", "a.zip", "a.png", "--x=0,1", ""], "argument 5"),
        (["analyze", str(DEMO), "--out="], "--out"), (["analyze", str(DEMO), "--out", ""], "--out"),
        (["train", "addition", "--out", ""], "--out"),
    ],
)  # fmt: skip
def test_an_empty_argument_is_not_the_current_folder(refused: Refused, argv: list[str], named: str) -> None:
    assert f"{named} is empty, as a variable that is not set leaves it: interp {argv[0]} " in refused(*argv)


COMMANDS = ["inspect", "analyze", "compare", "draw", "demo", "convert", "analyses", "measures", "train"]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_exists(run: Run, command: str) -> None:
    """Every command explains itself, with an example; the root lists the commands and what their exit codes mean."""
    ran = run(*filter(None, [command, "--help"]))
    assert (ran.code, ran.err) == (0, "")
    expected = [f"Example: interp {command}"] if command else [*COMMANDS, "Exit codes: 0 "]
    assert all(words in ran.out for words in expected), ran.out


def test_version(run: Run) -> None:
    """The version of the package, and those of what its numbers depend on, as installed."""
    said = run("--version").out
    assert said.startswith(f"interp-suite {interp.__version__} (python ")
    for package in ("torch", "transformer-lens", "numpy"):
        assert f", {package} {metadata.version(package)}" in said


def test_inspect(run: Run, work: Path) -> None:
    """Tensors, shapes, dtypes, key, layout, size and hash of a stranger's file."""
    ran = run("inspect", "chain.pt")
    assert (ran.code, ran.err) == (0, "")
    facts = dict(line.split(maxsplit=1) for line in ran.out.splitlines() if line.strip())
    content = (work / "chain.pt").read_bytes()
    assert facts["sha256"].strip() == hashlib.sha256(content).hexdigest()
    assert facts["size"].strip() == f"{len(content):,} bytes"
    assert (facts["format"].strip(), facts["layout"].strip()) == ("torch zip", "linear_chain")
    assert facts["weights"].strip() == "at  model"
    for name, tensor in make_chain(seed=1).items():
        assert facts[name].split() == ["x".join(map(str, tensor.shape)), "float32", "cpu"]


def test_inspect_in_a_narrow_pipe(run: Run, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash and a name are never broken, so that they can be copied; JSON holds the same."""
    wide = run("inspect", "chain.pt").out
    monkeypatch.setenv("COLUMNS", "40")
    assert run("inspect", "chain.pt").out == wide
    found = json.loads(run("inspect", "chain.pt", "--json").out)
    assert all(f"{name} " in wide and text.splitlines()[0] in wide for name, text in found["facts"].items())
    shapes = {one["name"]: (one["shape"], one["dtype"]) for one in found["tensors"]}
    assert shapes == {name: (list(t.shape), "float32") for name, t in make_chain(seed=1).items()}


def test_inspect_a_series(run: Run, work: Path) -> None:
    """A folder of steps: how many, from which to which."""
    assert "3 checkpoints, 0 to 20" in run("inspect", "steps").out


def test_analyze(shell: Run, work: Path) -> None:
    """The analyses named, the option given and the task typed are what the report holds; torch counts as many right."""
    task = "modular:p=7,operation=subtract,train_fraction=0.5,seed=3"
    ran = shell(
        "analyze", "chain.pt", "--task", task, "--only", "fourier,performance", "--set", "fourier.top=2", "-o", "out",
        cwd=work,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = json.loads((work / "out" / "result.json").read_text())
    assert list(found["analyses"]) == ["performance", "fourier"]
    assert found["analyses"]["fourier"]["context"]["options"] == {"top": 2}
    assert found["subject"]["task"].startswith(task)
    right = (forward(make_chain(seed=1)).argmax(-1) == torch.tensor([(a - b) % 7 for a, b in PAIRS])).sum()
    assert found["analyses"]["performance"]["metrics"]["correct"] == int(right)
    assert "Report: out/index.html" in ran.out
    assert (work / "out" / "index.html").stat().st_size > 500_000  # the part of plotly.js that is used is inside


def forward(chain: dict[str, Tensor]) -> Tensor:
    """The logits ``[49, 7]`` of a network of `make_chain` on all pairs, with torch's own functions."""
    embedded = torch.stack([chain["embed.weight"][[a, b]].flatten() for a, b in PAIRS])
    return linear(linear(embedded, chain["fc.weight"], chain["fc.bias"]).relu(), chain["out.weight"], chain["out.bias"])


def test_analyze_everything_that_applies(run: Run, work: Path) -> None:
    """Without --only all analyses appear: those that need what the file lacks are skipped, with the reason."""
    ran = run("analyze", "mlp.safetensors")
    assert ran.code == 0, ran.err
    found = json.loads((work / "report" / "result.json").read_text())["analyses"]
    assert list(found) == list(ANALYSES)
    assert {n for n, a in found.items() if a["status"] == "skipped"} == {
        "phases",
        "curves",
        "theory",
        "decoder_plane",
        "densities",
        "clouds",
        "representations",
        "representation_changes",
        *IMAGE,
    }
    assert (
        "skipped densities, representation_changes, clouds: needs several checkpoints of a run; this is a single one"
        in ran.out
    )
    assert "skipped feature_maps, reduction: needs an image network" in ran.out


def test_analyze_a_step(run: Run, work: Path) -> None:
    """--step picks the checkpoint of a series."""
    assert run("analyze", "steps", "--step", 10, "--only", "weights").code == 0
    found = json.loads((work / "report" / "result.json").read_text())
    assert (found["subject"]["step"], found["subject"]["steps"]) == (10, [0, 10, 20])
    assert found["provenance"]["path"].endswith("step_10.safetensors")


def test_analyze_in_another_dtype(run: Run, work: Path) -> None:
    """--dtype is what the model is computed in, and the report says so."""
    assert (
        run("analyze", "mlp.safetensors", "--dtype", "float32", "--device", "cpu", "--only", "svd", "--seed", 5).code
        == 0
    )
    context = json.loads((work / "report" / "result.json").read_text())["analyses"]["svd"]["context"]
    assert (context["dtype"], context["seed"], context["device"]) == ("float32", 5, "cpu")


def test_convert_and_reload(run: Run, work: Path) -> None:
    """A stranger's file becomes ours: read without being told anything, it computes the same, task included."""
    ran = run("convert", "chain.pt", "ours.safetensors", "--task", "modular:p=7,seed=4")
    assert ran.code == 0, ran.err
    assert "ReLU (assumed) between the layers" in ran.err
    ours, chain = interp.load(work / "ours.safetensors", device="cpu"), make_chain(seed=1)
    assert ours.task == interp.ModularArithmetic(7, seed=4).fit(ours.model)
    assert torch.equal(ours.model.W_U, chain["out.weight"].T)
    torch.testing.assert_close(ours.model(torch.tensor(PAIRS)), forward(chain))


def test_convert_narrows(run: Run, work: Path) -> None:
    """--dtype rounds the weights once, as torch does."""
    assert run("convert", "mlp.safetensors", "half.safetensors", "--dtype", "float16").code == 0
    half = interp.load(work / "half.safetensors", device="cpu").model.state_dict()
    assert all(torch.equal(half[n], w.half()) for n, w in make_mlp(seed=0).state_dict().items())


def test_convert_over_itself(run: Run, work: Path) -> None:
    """With --force a file may be its own target: it is read whole before it is replaced."""
    assert run("convert", "mlp.safetensors", "mlp.safetensors", "--force").code == 0
    again = interp.load(work / "mlp.safetensors", device="cpu")
    assert again.task is not None
    assert all(torch.equal(again.model.state_dict()[n], w) for n, w in make_mlp(seed=0).state_dict().items())


def test_analyses(run: Run) -> None:
    """Every analysis in the order of the report, with its summary, in a line each; JSON has everything."""
    ran = run("analyses")
    assert (ran.code, ran.err) == (0, "")
    rows = {line.split()[0]: line for line in ran.out.splitlines() if line.split()}
    assert tuple(rows)[: len(ANALYSES)] == ANALYSES
    assert "Which frequencies the network computes with" in rows["fourier"]
    found = {one["name"]: one for one in json.loads(run("analyses", "--json").out)}
    assert tuple(found) == (*ANALYSES, *JOINT)
    assert [name for name, one in found.items() if one["joint"]] == list(JOINT)
    assert found["fourier"]["needs"] == ["weights", "cyclic"]
    assert found["fourier"]["options"][0] | {"help": ""} == {"name": "top", "type": "int", "default": 8, "help": ""}


def test_one_analysis(run: Run, refused: Refused) -> None:
    """By its name: what it does, what it needs, and its options with types, defaults and meaning; a typo is named."""
    ran = run("analyses", "fourier")
    assert (ran.code, ran.err) == (0, "")
    said = " ".join(ran.out.split())
    assert "fourier: Which frequencies the network computes with" in said
    assert "Needs cyclic: a task that is addition modulo n" in said
    assert "Option top: int = 8 number of frequencies in the table" in said
    assert "pca" not in said
    assert "did you mean 'fourier'" in refused("analyses", "fuorier")


@pytest.mark.parametrize(
    ("argv", "applies", "reason"),
    [(["mlp.safetensors"], "", SINGLE), (["chain.pt"], "needs a task, and none is known: give one", SINGLE),
     (["chain.pt", "--task", "modular:p=7,operation=x^2+y^2"], "x^2+y^2 modulo 7 is not addition", "needs "),
     (["steps", "--task", "modular:p=7"], "", "")],
)  # fmt: skip
def test_analyses_of_a_file(run: Run, work: Path, argv: list[str], applies: str, reason: str) -> None:
    """With a file: which analyses apply, and why the others do not."""
    found = {one["name"]: one for one in json.loads(run("analyses", *argv, "--json").out)}
    for name, why in (("fourier", applies), ("densities", reason)):
        assert found[name]["applies"] == (not why)
        assert found[name]["reason"].startswith(why)
    ran = run("analyses", *argv)
    assert (ran.code, ran.err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in ran.out.splitlines() if line.split()}
    assert rows["fourier"][0] == ("no" if applies else "yes")
    assert applies in ran.out
    assert reason in ran.out


def test_demo_prints_the_verdict(demo_run: tuple[str, Path]) -> None:
    """The numbers that a reader wants first, and where the report is."""
    out, _ = demo_run
    said = [" ".join(line.split()) for line in out.splitlines()]
    assert "correct answers 2,809 of 2,809" in said
    for label in ("train loss", "test loss", "key frequencies", "logits explained by a + b", "restricted loss"):
        assert any(line.startswith(label) for line in said), label
    assert said[-1] == "Report: report/index.html"


def test_demo_agrees_with_its_training(demo_run: tuple[str, Path]) -> None:
    """The losses that the report computes in float64 are those that the training loop wrote down in float32."""
    found = json.loads((demo_run[1] / "result.json").read_text())["analyses"]["performance"]["metrics"]
    recorded = json.loads((DEMO / "metrics.jsonl").read_text().splitlines()[-1])
    for part in ("train_loss", "test_loss"):
        assert found[part] == pytest.approx(recorded[part], rel=1e-2)
    assert found["correct"] == found["total"] == 53 * 53


def test_demo_refuses_a_folder_of_something_else(run: Run, tmp_path: Path) -> None:
    """The demo keeps the rule of analyze: nothing of anyone else's is overwritten."""
    (tmp_path / "index.html").write_text("mine")
    ran = run("demo", "--out", tmp_path)
    assert (ran.code, snapshot(tmp_path)) == (2, {"index.html": b"mine"})
    assert "--force" in ran.said


def test_a_failed_analysis(run: Run, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One red line with the error as it is; the others run, the report is written, and the exit code says that it failed."""

    def fail(*_: object) -> None:
        raise RuntimeError("[red]no[/red]")

    monkeypatch.setattr("probes.analyses.performance.score", fail)
    ran = run("analyze", "mlp.safetensors", "--only", "performance,weights")
    assert ran.code == 1
    found = json.loads((work / "report" / "result.json").read_text())["analyses"]
    assert {name: part["status"] for name, part in found.items()} == {"performance": "failed", "weights": "ok"}
    assert ran.said == "failed performance: RuntimeError: [red]no[/red]"


def test_headlines_of_what_was_asked_for(run: Run, work: Path) -> None:
    """An analysis named prints its headline, that of the report; without --only the terminal shows the verdict alone."""
    ran = run("analyze", "mlp.safetensors", "--only", "weights,svd")
    assert ran.code == 0
    found = json.loads((work / "report" / "result.json").read_text())["analyses"]
    for name in ("weights", "svd"):
        assert f"  {name}: {found[name]['headline']}" in ran.out.splitlines()


def test_an_analysis_that_does_not_apply(run: Run, refused: Refused, work: Path) -> None:
    """Asked for by name it is an error with the reason, for each of them, and nothing is written."""
    said = refused("analyze", "mlp.safetensors", "--only", "weights,densities,genome")
    assert "densities does not apply: needs several checkpoints" in said
    assert "genome does not apply: " in said
    assert "weights" not in said
    assert "leave it out of --only" in said


@pytest.mark.parametrize(("only", "code"), [("performance", 2), ("performance,weights", 1)])
def test_an_analysis_that_finds_out_late(
    run: Run, work: Path, monkeypatch: pytest.MonkeyPatch, only: str, code: int
) -> None:
    """What only a look inside could tell: without any result nothing is written; beside results, the exit code says so."""

    def lacking(*_: object) -> None:
        raise interp.MissingCapability("needs a miracle")

    monkeypatch.setattr("probes.analyses.performance.score", lacking)
    before = snapshot(work)
    ran = run("analyze", "mlp.safetensors", "--only", only)
    assert ran.code == code
    assert "performance" in ran.said
    assert "needs a miracle" in ran.said
    assert (snapshot(work) == before) is (code == 2)


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let Ctrl-C arrive where the function of that name is called."""

    def at(name: str) -> None:
        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(name, stop)

    return at


@pytest.mark.parametrize(
    "where", ["probes.analyses.performance.score", "pandas.DataFrame.to_csv", "interp.checkpoints.load"]
)
def test_ctrl_c_writes_nothing(run: Run, work: Path, interrupted: Callable[[str], None], where: str) -> None:
    """While loading, analysing or writing: exit code 130, and the folder is as it was."""
    before = snapshot(work)
    interrupted(where)
    ran = run("analyze", "mlp.safetensors", "--only", "weights,performance")
    assert (ran.code, snapshot(work)) == (130, before)
    assert "Traceback" not in ran.err


def test_ctrl_c_says_so(run: Run, work: Path, interrupted: Callable[[str], None]) -> None:
    """One line, and that nothing was written."""
    interrupted("probes.analyses.performance.score")
    ran = run("analyze", "mlp.safetensors", "--only", "performance")
    assert ran.said == "error: interrupted; nothing was written"


def test_demo_copies_files_for_every_example(run: Run, tmp_path: Path) -> None:
    """All of them load, without options; nothing is replaced unasked, and nothing is left half done."""
    copied = run("demo", "--copy", tmp_path / "examples")
    assert copied.code == 0, copied.err
    folder = tmp_path / "examples"
    kinds = {"model.pth": interp.HookedTransformer, "runs/modadd": interp.HookedTransformer, "genome.xml": interp.HookedCPPN,
             "sgd_twin.safetensors": interp.HookedCPPN}  # fmt: skip
    loaded = {name: interp.load(folder / name, device="cpu") for name in kinds}
    assert {name: type(subject.model) for name, subject in loaded.items()} == kinds
    assert (folder / "picture.png").is_file()
    assert all(name in copied.out for name in (*kinds, "picture.png"))
    score = interp.score(loaded["model.pth"].require_task(), loaded["model.pth"].logits())
    assert score.all.correct == 2809
    evolved, trained = (loaded[name].model.state_dict() for name in ("genome.xml", "sgd_twin.safetensors"))
    assert {n: w.shape for n, w in evolved.items()} == {n: w.shape for n, w in trained.items()}
    (folder / "genome.xml").write_text("mine")
    again = run("demo", "--copy", folder)
    assert (again.code, (folder / "genome.xml").read_text()) == (2, "mine")
    assert "is there already" in again.said
    assert run("demo", "--copy", folder, "--force").code == 0
    assert sorted(p.name for p in folder.iterdir()) == [
        "genome.xml",
        "model.pth",
        "picture.png",
        "runs",
        "sgd_twin.safetensors",
    ]
