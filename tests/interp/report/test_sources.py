"""What paths stand for in a comparison, and what the networks are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import interp
from interp import InterpError
from interp.errors import UnreadableFile
from interp.report import sources
from interp.report.sources import expand
from tests.interp.picbreeder.genomes import small, written
from tests.interp.report.test_comparison import trained


def test_a_run_is_its_members(tmp_path: Path) -> None:
    """Each under the name of what it has for its own, with its own weights; the seed that all share is left out."""
    run = trained(tmp_path, tmp_path / "toy", [{"weight_decay": w, "seed": 3, "data_seed": 3} for w in (0.0, 0.5)])
    found = expand([run], device="cpu")
    assert list(found) == ["toy weight_decay=0.0", "toy weight_decay=0.5"]
    for i, (name, one) in enumerate(found.items()):
        assert one.name == name
        own = interp.load(run, member=i, device="cpu").model
        for a, b in zip(one.model.parameters(), own.parameters(), strict=True):
            assert torch.equal(a, b)
    first, second = (next(iter(s.model.parameters())) for s in found.values())
    assert not torch.equal(first, second)


def test_names_carry_all_that_differs(tmp_path: Path) -> None:
    """Two settings that vary, and not the third."""
    members = [{"lr": a, "weight_decay": 0.1, "seed": s, "data_seed": s} for a in (0.1, 0.2) for s in (0, 1)]
    run = trained(tmp_path, tmp_path / "toy", members)
    assert list(expand([run])) == [f"toy lr={a} seed={s}" for a in (0.1, 0.2) for s in (0, 1)]


def test_a_folder_of_runs(tmp_path: Path) -> None:
    """In the order of their names, each with its own members; other folders and files beside them are left alone."""
    for name in ("width-2", "width-1"):
        trained(tmp_path, tmp_path / "runs" / name, [{"seed": 0}, {"seed": 1}])
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / "notes.txt").write_text("mine")
    found = list(expand([tmp_path / "runs"]))
    assert found == [f"runs/width-{w} seed={s}" for w in (1, 2) for s in (0, 1)]


def test_a_genome_and_duplicates(tmp_path: Path) -> None:
    """The same file twice, and files of one name in two folders, are told apart by a number; the order is the given."""
    (tmp_path / "other").mkdir()
    one, two = written(tmp_path, small().xml()), written(tmp_path / "other", small().xml())
    found = expand([one, two, one])
    assert list(found) == ["genome.xml", "genome.xml (2)", "genome.xml (3)"]
    assert [s.name for s in found.values()] == list(found)
    assert all(s.genome is not None for s in found.values())


def test_a_trailing_slash_or_dot_is_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network has a name even where the path's last part is none."""
    run = trained(tmp_path, tmp_path / "toy", [{"seed": 0}])
    monkeypatch.chdir(run)
    assert all(name.strip() for name in expand([Path(".")]))
    assert list(expand([f"{run}/"])) == ["toy"]


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    """A missing path, an empty folder, and a run whose list of members is damaged."""
    with pytest.raises(UnreadableFile, match="no file"):
        expand([tmp_path / "gone"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InterpError, match="empty"):
        expand([tmp_path / "empty"])
    run = trained(tmp_path, tmp_path / "toy", [{"seed": 0}])
    plan = json.loads((run / "run.json").read_text())
    for members in ("all", [1, 2], {"a": 1}):
        (run / "run.json").write_text(json.dumps({**plan, "members": members}))
        with pytest.raises(UnreadableFile, match=r"run\.json"):
            expand([run])
    for text in ("[]", "null", "3", '"text"', "{"):
        (run / "run.json").write_text(text)
        with pytest.raises(InterpError):
            expand([run])


def test_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sources.MAX_SUBJECTS == 64
    monkeypatch.setattr(sources, "MAX_SUBJECTS", 5)
    path = written(tmp_path, small().xml())
    assert len(expand([path] * 5)) == 5
    with pytest.raises(InterpError, match="at most 5 networks"):
        expand([path] * 6)


def test_names_carry_the_seed_of_the_data(tmp_path: Path) -> None:
    """Where it alone differs, it is what tells members apart."""
    run = trained(tmp_path, tmp_path / "toy", [{"seed": 0, "data_seed": s} for s in (0, 1)])
    assert list(expand([run])) == ["toy data_seed=0", "toy data_seed=1"]
