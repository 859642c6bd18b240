"""``interp analyze --module``: the user's own class with a file's weights, from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import interp
from interp.checkpoints.rebuilt_subject import parse_example
from tests.interp.cli.console import Refused, Run

CODE = """from torch import nn

class Net(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, width, 3, stride=2), nn.Linear(width * 9, 10)

    def forward(self, x):
        return self.head(self.conv(x).relu().flatten(1))

class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 7))

    def forward(self, tokens):
        return self.net(tokens)

class Heavy(nn.Module):
    def __init__(self):
        raise KeyError("no settings")
"""
TASK = "digits:images=true,mean=0.3,std=0.4,n_train=200,n_test=100,loss=cross_entropy"


class Same(nn.Module):
    """The class of the package that the test writes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 6, 3, stride=2), nn.Linear(54, 10)

    def forward(self, x: Tensor, without: int | None = None) -> Tensor:
        acts = self.conv(x)
        if without is not None:
            acts = acts.clone()
            acts[:, without] = acts[:, without].mean(0)
        return self.head(acts.relu().flatten(1))


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Same:
    """A convolutional network after a few steps on digits, its weights in ``net.pt``, its class in ``mypkg.nets``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in [n for n in sys.modules if n.split(".")[0] == "mypkg"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "mypkg").mkdir()
    (tmp_path / "mypkg" / "nets.py").write_text(CODE)
    (tmp_path / "mypkg" / "broken.py").write_text("import torch\nLR = 1 / 0\n")
    torch.manual_seed(0)
    net, task = Same(), interp.make_task(TASK)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(40):
        loss = nn.functional.cross_entropy(net(task.inputs[:200]), task.labels[:200])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.save({"state_dict": {f"module.{n}": t for n, t in net.state_dict().items()}}, "net.pt")
    torch.manual_seed(1)
    torch.save(nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 7)).state_dict(), "bare.pt")
    torch.save({f"net.{n}": t for n, t in torch.load("bare.pt").items()}, "tokens.pt")
    return net.eval()


def test_performance_and_every_channel(run: Run, net: Same, tmp_path: Path) -> None:
    """Loss, accuracy and every channel at its mean, as plain torch has them."""
    words = ["analyze", "net.pt", "--module", "mypkg.nets:Net", "--module-args", "width=6", "--task", TASK]
    ran = run(*words, "--only", "performance,ablation,weights", "--out", "report")
    assert ran.code == 0, ran.err
    assert "module mypkg.nets:Net:width=6: built by your own code" in ran.err
    report = json.loads((tmp_path / "report" / "result.json").read_text())["analyses"]
    task = interp.make_task(TASK)
    x, net = task.inputs.double(), net.double()
    with torch.no_grad():
        right = int((net(x).argmax(-1) == task.labels).sum())
        without = [float(nn.functional.cross_entropy(net(x, i), task.labels)) for i in range(6)]
        clean = float(nn.functional.cross_entropy(net(x), task.labels))
    assert right > 150
    assert (report["performance"]["metrics"]["correct"], report["performance"]["metrics"]["total"]) == (right, 300)
    found = report["ablation"]["metrics"]
    assert (found["units"], found["units_largest_component"]) == (6, f"conv[{without.index(max(without))}]")
    assert found["units_largest_loss_change"] == pytest.approx(max(without) - clean, abs=1e-8)


def test_inputs_from_a_shape(run: Run, net: Same, tmp_path: Path) -> None:
    """An image or tokens of the shape that was typed; without a task the weights are analysed."""
    for name, module, example in (
        ("net.pt", "mypkg.nets:Net", "1x8x8"), ("tokens.pt", "mypkg.nets:Tokens", "tokens:3:7"),
        ("tokens.pt", "mypkg.nets:Tokens", "tokens:2x3:7"),
    ):  # fmt: skip
        more = ["--module-args", "width=6"] if name == "net.pt" else []
        ran = run("analyze", name, "--module", module, "--example", example, *more, "--only", "weights", "--force")
        assert ran.code == 0, ran.err
    path = tmp_path / "report" / "result.json"
    assert json.loads(path.read_text())["analyses"]["weights"]["metrics"]["parameters"] == 28 + 91


def test_what_is_wrong_is_one_message(refused: Refused, net: Same, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to import or build, weights or inputs that misfit, options that do not go together."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    good, wide, image = ["--module", "mypkg.nets:Net"], ["--module-args", "width=6"], ["--example", "1x8x8"]
    for words, message in (
        (["--module", "mypkg.net:Net", *image], "No module named 'mypkg.net'"),
        (["--module", "mypkg.nets:Nte", *image], "did you mean 'Net'"),
        (["--module", "mypkg/nets.py:Net", *image], "such as 'mypkg.nets:Net'"),
        (["--module", "mypkg.broken:Net", *image], "fails while it is imported (ZeroDivisionError"),
        (["--module", "mypkg.nets:Heavy", *image], "Heavy cannot be built with {}: KeyError: 'no settings'"),
        ([*good, *image, "--module-args", "deep=2"], "unexpected keyword argument 'deep'"),
        ([*good, *image, "--module-args", "6"], "cannot read '6'"),
        ([*good, *image], "conv.weight is [6, 1, 3, 3], the module's is [3, 1, 3, 3]"),
        ([*good, *wide, "--example", "1x9x12"], "mypkg.nets:Net on inputs [3, 1, 9, 12]: the Net cannot run"),
        ([*good, *wide, "--example", "8 by 8"], "write the shape of one input"),
        ([*good, *wide], "give --example"),
        ([*good, *wide, "--task", "digits"], "cannot run on inputs [3, 64]"),
        ([*good, *wide, *image, "--task", "digits"], "cannot run on the inputs of digits:"),
        ([*good, *wide, *image, "--task", "digits:images=true", "--layout", "tensors"], "leave out --layout"),
        ([*good, *wide, *image, "--step", "3"], "leave out --step"),
        (image, "give --module"),
    ):
        assert message in refused("analyze", "net.pt", *words, "--out", "report"), words


@pytest.fixture
def work(tmp_path: Path, net: Same) -> Path:
    """The working folder of `refused`."""
    return tmp_path


def test_the_way_on_names_this_command(run: Run, net: Same) -> None:
    """`inspect` and `analyze` of a file without a layout give the command with the file's path."""
    for command in (["inspect"], ["analyze", "--out", "report"]):
        ran = run(command[0], "net.pt", *command[1:])
        assert "interp analyze net.pt --module package.module:Class --example" in ran.out + ran.err


@pytest.mark.parametrize("text", ["", "x", "1x", "0x3", "tokens:3", "tokens:3:7:1", "tokens:1x3:7", "words:3:7", "-3"])
def test_examples_that_cannot_be_read(text: str) -> None:
    """What is not a shape is refused with how to write one."""
    with pytest.raises(interp.InterpError, match=r"--example"):
        parse_example(text)
