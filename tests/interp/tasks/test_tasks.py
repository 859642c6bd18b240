"""What holds for every task: its options are explained, its parts fit together, and no option brings a traceback."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from interp import InterpError
from interp.tasks import TASKS, Task, make_task, task_from_dict, task_to_dict
from interp.tasks.losses import LOSSES

SPECS = {
    "modular": "modular:p=5", "group": "group:table=D_3", "addition": "addition:p=4", "parity": "parity:n=6,n_train=30",
    "grid": "grid:side=3", "digits": "digits:n_train=40,n_test=10", "image": "image:target={}/a.png,size=8,non_square=stretch",
    "reviews": "reviews:path={}/a.tsv,n=0", "superposition": "superposition:n_train=30,n_test=10",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that tasks read."""
    folder = tmp_path_factory.mktemp("files")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)).save(folder / "a.png")
    (folder / "a.tsv").write_text("-1\tbad film\n1\tgood film\n2\tvery good\n-2\tno film\n")
    return folder


def test_every_task_is_tried() -> None:
    """A new task must be added to the table above."""
    assert SPECS.keys() == TASKS.keys()


@pytest.mark.parametrize("name", TASKS)
def test_every_option_is_explained(name: str) -> None:
    """In HELP by a line, in the docstring by an entry; the default loss is the first; paths are options."""
    cls = TASKS[name]
    assert set(cls.option_names()) <= cls.HELP.keys() <= set(cls.field_names())
    assert all(line and "\n" not in line and len(line) < 100 for line in (cls.summary, *cls.HELP.values()))
    doc = str(cls.__doc__)
    assert "Attributes:" in doc
    assert [field for field in cls.field_names() if f"\n        {field}: " not in doc] == []
    assert set(cls.LOSSES) <= set(LOSSES)
    assert set(cls.paths) <= set(cls.option_names())


@pytest.mark.parametrize("name", TASKS)
def test_parts_fit_together(name: str, folder: Path) -> None:
    """One label to each input, disjoint splits within them, a finite loss of the width that the task asks for."""
    for loss in TASKS[name].LOSSES:
        task = make_task(f"{SPECS[name].format(folder)},loss={loss}")
        train, test = task.train_indices.tolist(), task.test_indices.tolist()
        assert len(task.inputs) == len(task.labels) == len(train) + len(test)
        assert sorted(train + test) == list(range(len(task.inputs)))
        outputs = torch.randn(2, len(task.inputs), task.width, generator=torch.Generator().manual_seed(0))
        assert task.losses(outputs).shape == (2, len(task.inputs))
        assert task.losses(outputs).isfinite().all()
        if task.labels.ndim == 1:
            assert task.labels.dtype == torch.int64
            assert task.correct(outputs).float().mean() < 0.95
            assert int(task.labels.max()) < task.n_outputs
        assert task.inputs.dtype == (
            torch.float32 if name in ("parity", "digits", "image", "superposition") else torch.int64
        )


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_its_text_and_its_json(name: str, folder: Path) -> None:
    """Typed back, or through JSON on disk, it is equal and has the same examples."""
    task = make_task(SPECS[name].format(folder))
    for again in (make_task(task.spec()), task_from_dict(json.loads(json.dumps(task_to_dict(task))))):
        assert again == task
        assert again.spec() == task.spec()
        assert torch.equal(again.inputs, task.inputs)
        assert torch.equal(again.labels, task.labels)
        assert torch.equal(again.train_indices, task.train_indices)


ODD = ["", "0", "-1", "1e999", "nan", "none", "true", "[1]", "(1", "{}", "x", "0.5", "1" * 30, "b'a'", "1j", "_", "~"]
VALUES = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_characters=",", exclude_categories=["Cs"]), max_size=6),
)


@pytest.mark.parametrize("name", TASKS)
@given(data=st.data())
def test_no_option_brings_a_traceback(name: str, folder: Path, data: st.DataObject) -> None:
    """Whatever is typed for an option, the answer is a task or a message."""
    option, value = data.draw(st.sampled_from(TASKS[name].field_names())), data.draw(VALUES)
    parts = [p for p in SPECS[name].format(folder).partition(":")[2].split(",") if not p.startswith(f"{option}=")]
    with contextlib.suppress(InterpError):
        assert isinstance(make_task(f"{name}:" + ",".join([*parts, f"{option}={value}"])), Task)


@pytest.mark.parametrize("name", ["digits", "image", "reviews"])
def test_members_share_their_examples(name: str, folder: Path) -> None:
    """Tasks on one file that differ in their seeds hold the same tensor, not a copy each."""
    one, two = (make_task(f"{SPECS[name].format(folder)},seed={seed}") for seed in (1, 2))
    assert one.inputs is two.inputs
    assert one.labels is two.labels


@pytest.mark.parametrize("stored", [None, [], {}, {"name": []}, {"name": "grid", 3: 4}, {"name": "grid", "side": "x"}])
def test_stored_tasks_that_are_none(stored: object) -> None:
    """What was damaged on disk is a message too."""
    with pytest.raises(InterpError):
        task_from_dict(stored)  # pyright: ignore[reportArgumentType]
