"""Values of the wrong kind in the files of a run: one message that names the file and the place; nothing is changed."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import interp
from interp.errors import InterpError
from interp.training.state import STATE_KEY
from tests.interp.training.ensembles import ADDITION
from tests.interp.training.setups import everything
from tests.interp.training.test_same_bits import press_at

HUGE, DEEP = 10**400, [[[1]]]
NOT_NUMBERS = [None, "many", True, 1.5, [3], {"a": 1}, HUGE, -1, "é", float("nan"), 1e999]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two members that Ctrl-C stopped at step 21 of 40."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    settings: dict[str, Any] = {"model": "mlp:hidden=4", "metrics": "every:5", "checkpoints": "every:10", "steps": 40}
    with pytest.raises(KeyboardInterrupt):
        interp.train(ADDITION, out=folder, members=2, device="cpu", progress=press_at(21), **settings)
    return folder


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    return shutil.copytree(stopped, tmp_path / "run")


def use(run: Path) -> None:
    """Everything that reads a run, and then what goes on with it."""
    interp.load(run, member=1)
    found = interp.Run(run)
    repr((found, found.metrics, found.members, found.phases(), found.finished))
    interp.resume(run, device="cpu")


def refused(run: Path, message: str) -> str:
    """Using the run ends in one message, and changes none of its files."""
    before = everything(run)
    with pytest.raises(InterpError, match=message) as refusal:
        use(run)
    assert everything(run) == before
    assert len(str(refusal.value)) < 700
    return str(refusal.value)


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=lambda v: str(v)[:8])
@pytest.mark.parametrize("name", ["step", "member", "test_accuracy", "weight_norm"])
def test_a_row(run: Path, name: str, value: object) -> None:
    """The line and the field are named, whatever stands there in place of a number."""
    numbers = ("step", "member")
    fine = (value is None or value in (1.5, -1)) and name not in numbers
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = json.dumps({**json.loads(lines[2]), name: value}) + "\n"
    path.write_text("".join(lines))
    if fine:
        interp.load(run)
        assert len(interp.Run(run).metrics) == len(lines)
        return
    message = refused(run, rf"metrics\.jsonl is damaged in line 3: {name} must be")
    assert "correct that line, or cut the file off before it" in message


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        "9" * 5000,
        '{"step": ' + "9" * 400 + "}",
        "[1]",
        "3",
        "",
        '{"step"',
        "\0",
        '{"a": [[[]]], "step": 1}',
    ],
)
def test_a_line_that_is_no_row(run: Path, line: str) -> None:
    """Nesting, endless numbers and other JSON are named with their line."""
    with (run / "metrics.jsonl").open("a") as file:
        file.write(line + "\n")
    refused(run, r"metrics\.jsonl is damaged in line \d+: ")


PLAN: list[tuple[str, object]] = [
    *[("steps", v) for v in (None, "many", True, 1.5, [3], HUGE, -1, float("nan"))],
    *[("members", v) for v in (None, 3, {}, [3], [None])],
    *[("members", [{}, v]) for v in ({"seed": HUGE}, {"lr": "x"}, {"lr": HUGE}, {"p": [1]}, {"x": 1})],
    *[("task", v) for v in (None, 3, [], {}, {"name": 3}, {"name": "addition", "p": "x"}, {"name": "addition", "p": HUGE})],
    *[("model", v) for v in (None, 3, {}, {"kind": []}, {"kind": "mlp", "hidden": "x", "d_in": 2, "d_out": 1})],
    *[("model", {"kind": "mlp", "hidden": [n], "d_in": 2, "d_out": 1}) for n in (HUGE, 1.5, "x", None, [1], 10**12, 2**62)],
    *[("model", {"kind": "mlp", "hidden": [4], "d_in": 2, "d_out": 1, "dropout": v}) for v in (None, "x", HUGE, [1])],
    *[("optimizer", v) for v in (None, 3, [], {"name": 3}, {"lr": HUGE}, {"betas": 3}, {"betas": [1]}, {"eps": None}, {"x": 1})],
    *[(n, v) for n in ("clip_norm", "l1", "norm_penalty", "retire", "init_scale") for v in ("x", [1], HUGE, float("inf"))],
    *[(n, v) for n in ("batch_size", "warmup", "late_at") for v in ([1], 1.5, HUGE)],
    *[(n, v) for n in ("metrics", "checkpoints") for v in (None, 3, "x", "every:0", "log:999999999999", "9" * 5000, ["1"])],
    *[(n, v) for n in ("normalise", "readout") for v in ("yes", 1, None)],
    *[(n, v) for n in ("complexity_share", "label_smoothing") for v in ("x", -1, 1.5, HUGE)],
    *[(n, v) for n in ("sparsity_width", "entropy_penalty") for v in (None, "x", [1], -1, float("nan"))],
    ("sparsity_width", 0),
    *[("lr_schedule", v) for v in (None, 3, "x", "cosine:x", "cosine:-1", "step:2", "step:0:1", "exponential:0", "linear:1:2")],
    *[("frozen", v) for v in ("nothing", 3, [3])],
    *[("fixed_norm", v) for v in ("sphere", 3, [1])],
    *[(n, v) for n in ("complexity_scope", "softmax_dtype") for v in (None, 3, "x")],
    *[("optimizer", {"grokfast": v}) for v in (3, [1], [1, 2], ["x", 1], [0.9, -1], "ab")],
    ("optimizer", {"perp_grad": 1}),
    *[(n, v) for n in ("init", "dtype", "name") for v in (None, 3, ["normal"])],
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), PLAN, ids=lambda v: str(v)[:24])
def test_a_plan(run: Path, name: str, value: object) -> None:
    """run.json is named, and nothing that is in it reaches Python's own errors."""
    path = run / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    refused(run, r"run\.json|no network can be built|GiB are free|does not fit|model's")


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "[" * 100_000, '{"format": 1, "steps": ' + "9" * 5000 + "}", "\xff\xfe", "{"]
)
def test_a_plan_that_is_no_object(run: Path, text: str) -> None:
    (run / "run.json").write_bytes(text.encode("latin-1"))
    refused(run, r"run\.json")


COUNTERS: list[tuple[str, object]] = [
    *[(n, v) for n in ("step", "size", "metrics_bytes") for v in (None, "x", [1], -1, 1.5, HUGE, True)],
    *[("ids", v) for v in (None, 3, "01", [0], [0, 0], [0, 7], [0, -1], [0, "1"], [0, 1, 2], [0, True])],
    *[("retired", v) for v in (None, [0], ["a"], {})],
    *[("statuses", v) for v in (None, [], [1, 2], [{}, {}], [{"train_at": 1}] * 2, "ab")],
    ("other", 3),
]  # fmt: skip


def change_state(run: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Write the state anew with other counters or tensors."""
    path = run / "state" / "state.safetensors"
    with safe_open(path, "pt") as file:
        meta = json.loads(file.metadata()[STATE_KEY])
    tensors = load_file(path)
    change(meta, tensors)
    save_file(tensors, path, {STATE_KEY: json.dumps(meta)})


@pytest.mark.parametrize(("name", "value"), COUNTERS, ids=lambda v: str(v)[:12])
def test_counters(run: Path, name: str, value: object) -> None:
    """A state whose counters cannot be is damaged, and metrics and checkpoints are still there afterwards."""
    change_state(run, lambda meta, _: meta.update({name: value}))
    refused(run, r"state\.safetensors is damaged .*remove state/ and checkpoints/ to train again")


@pytest.mark.parametrize("header", ["[" * 100_000, "3", "[]", "9" * 5000, "{}", "null"])
def test_a_header(run: Path, header: str) -> None:
    path = run / "state" / "state.safetensors"
    save_file(load_file(path), path, {STATE_KEY: header})
    refused(run, r"state\.safetensors is damaged")


@pytest.mark.parametrize("change", ["shape", "members", "dtype", "missing", "extra"])
@pytest.mark.parametrize("part", ["parameters", "moments"])
def test_tensors(run: Path, part: str, change: str) -> None:
    """Tensors of other names, shapes and dtypes than the plan's are named."""

    def alter(_: dict[str, Any], tensors: dict[str, Any]) -> None:
        name = min(n for n in tensors if n.startswith(part))
        if change == "missing":
            del tensors[name]
        elif change == "extra":
            tensors[f"{part}/other"] = tensors[name].clone()
        else:
            was = tensors[name]
            tensors[name] = {
                "shape": was[..., :1].repeat_interleave(7, -1),
                "members": was[:1].clone(),
                "dtype": was.double(),
            }[change]

    change_state(run, alter)
    refused(run, rf"state\.safetensors is damaged \({part}/")


def test_mutations(run: Path) -> None:
    """Two hundred random changes of a byte or a token of the files end in a message, or in a run; never in Python's errors."""
    draw = random.Random(3)
    texts = {name: (run / name).read_bytes() for name in ("run.json", "metrics.jsonl")}
    whole = everything(run)
    odd = [b"null", b'"x"', b"[]", b"{}", b"-1", b"1e999", b"9" * 400, b"[" * 5000, b"true", b"NaN"]
    outcomes = {"refused": 0, "used": 0}
    for _ in range(200):
        name = draw.choice(list(texts))
        tokens = list(re.finditer(rb'-?\d+(\.\d+)?(e-?\d+)?|"[^"]*"', texts[name]))
        token = draw.choice(tokens)
        (run / name).write_bytes(texts[name][: token.start()] + draw.choice(odd) + texts[name][token.end() :])
        try:
            interp.load(run, member=1)
            found = interp.Run(run)
            repr((found, found.metrics, found.members, found.phases(), found.finished))
            outcomes["used"] += 1
        except InterpError:
            outcomes["refused"] += 1
        (run / name).write_bytes(texts[name])
    assert everything(run) == whole
    assert min(outcomes.values()) > 10
