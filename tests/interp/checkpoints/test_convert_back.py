"""From every layout into ours and back, through the command line; and the commands about layouts."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch

import interp
from interp.checkpoints.layouts import layouts
from tests.interp.checkpoints.written_layouts import CASES, VECTORS, Case, named_by_hand
from tests.interp.cli.conftest import run  # noqa: F401
from tests.interp.cli.console import Run


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.chdir(tmp_path)
    made = CASES[request.param](tmp_path)
    assert made.layout == layout_of(request.param)
    return made


def layout_option(case: Case) -> list[str]:
    return ["--layout", case.spec] if case.spec else []


def layout_of(name: str) -> str:
    return name.partition(",")[0]


def test_every_layout_has_a_case() -> None:
    """Whoever registers a layout adds a file of it to `CASES`."""
    assert {layout_of(name) for name in CASES} == set(layouts())


def test_there_and_back(case: Case, run: Run) -> None:  # noqa: F811
    """The converted file computes what the module that wrote the file does, and every note and warning is printed."""
    ran = run("convert", case.path, "ours.safetensors", *layout_option(case))
    assert ran.code == 0, ran.err
    assert "Traceback" not in ran.err
    subject = interp.load(case.path, layout=case.spec, device="cpu")
    assert subject.provenance.layout == case.layout
    told = [*subject.warnings, *subject.provenance.notes]
    assert all(f"note: {' '.join(one.split())}" in ran.said for one in told)
    assert all(words in ran.said for words in case.said), ran.err
    again = interp.load("ours.safetensors", device="cpu")
    assert again.provenance.layout == "suite"
    assert (again.step, str(again.task)) == (subject.step, str(subject.task))
    if case.inputs is None or case.outputs is None:
        stored = torch.load(case.path)
        assert {n: p.tolist() for n, p in again.model.named_parameters()} == {n: t.tolist() for n, t in stored.items()}
        return
    outputs = case.outputs.detach()
    assert outputs.std(0).max() > 1e-3, "the network ignores its inputs, so the test would prove nothing"
    torch.testing.assert_close(subject.model(case.inputs).detach(), outputs, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(again.model(case.inputs).detach(), outputs, rtol=1e-6, atol=1e-6)


def test_inspect_says_how_it_is_read(case: Case, run: Run) -> None:  # noqa: F811
    """The layout's name, or what must be said for it; with the layout said, config, notes and warnings."""
    ran = run("inspect", case.path)
    assert (ran.code, ran.err) == (0, "")
    layout = next(line for line in ran.out.splitlines() if line.startswith("layout "))
    if case.layout == "tensors":
        assert "unknown layout" in layout
        assert "--layout tensors" in ran.out
    elif "odd" not in case.path.name:
        assert layout.split()[1].rstrip(",") == case.layout
    ran = run("inspect", case.path, "--layout", case.spec or case.layout)
    assert (ran.code, ran.err) == (0, "")
    printed = " ".join(ran.out.split())
    assert f"layout {case.layout} " in printed
    assert "reading " in printed
    subject = interp.load(case.path, layout=case.spec, device="cpu")
    assert all(f"{name}=" in printed for name, value in subject.model.config.to_dict().items() if value is not None)
    if case.path.suffix not in (".xml", ".pkl"):  # what is told of a genome stands beside its graph
        assert all(words in printed for words in case.said), ran.out


def test_the_list_of_layouts(run: Run) -> None:  # noqa: F811
    """Each with its summary and its options."""
    ran = run("layout", "list")
    assert (ran.code, ran.err) == (0, "")
    printed = " ".join(ran.out.split())
    for name, layout in layouts().items():
        assert f"{name} {layout.summary}" in printed
        assert all(f"{option}: {meaning}" in printed for option, meaning in layout.options.items())


def test_a_map_of_any_file(case: Case, run: Run) -> None:  # noqa: F811
    """It is TOML, names the layout, and lists every tensor of the file."""
    ran = run("layout", "map", case.path, "--to", case.layout)
    assert (ran.code, ran.err) == (0, "")
    assert tomllib.loads(ran.out)["layout"] == case.layout
    for name, shape, _, _ in interp.inspect(case.path).tensors:
        assert f'= "{name}"  # {list(shape)}' in ran.out


def test_a_map_that_is_filled_in(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """As the printed one says: names on the left, axes as einops writes them; then convert takes it."""
    monkeypatch.chdir(tmp_path)
    case = named_by_hand(tmp_path)
    text = run("layout", "map", "odd.pt", "--to", "linear_chain").out
    lines = {
        '# "..." = "A"  # [5, 9]': '"fc1.weight" = { from = "A", as = "i o -> o i" }',
        '# "..." = "alpha"  # [9]': '"fc1.bias" = "alpha"',
        '# "..." = "B"  # [9, 3]': '"fc2.weight" = { from = "B", as = "i o -> o i" }',
    }
    for before, after in lines.items():
        assert before in text
        text = text.replace(before, after)
    Path("map.toml").write_text(text)
    ran = run("convert", "odd.pt", "ours.safetensors", "--layout", "map.toml")
    assert ran.code == 0, ran.err
    assert "note: C is in no line of map.toml, so it was left out" in ran.said
    assert case.outputs is not None
    torch.testing.assert_close(interp.load("ours.safetensors", device="cpu").model(VECTORS), case.outputs)


def test_a_template_of_a_layout(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """It says what to do next, and is not written twice."""
    monkeypatch.chdir(tmp_path)
    named_by_hand(tmp_path)
    ran = run("layout", "new", "my_layout", "--like", "odd.pt")
    assert (ran.code, ran.err) == (0, "")
    assert "pip install -e my_layout" in ran.out
    assert tomllib.loads(Path("my_layout/pyproject.toml").read_text())["project"]["entry-points"]["interp.layouts"] == {
        "my_layout": "my_layout:LAYOUT"
    }
    assert '"alpha": (9,),' in Path("my_layout/my_layout.py").read_text()
    again = run("layout", "new", "my_layout", "--like", "odd.pt")
    assert again.code == 2
    assert "exists already; overwrite it with --force" in again.said
    assert run("layout", "new", "my_layout", "--like", "odd.pt", "--force").code == 0
    assert run("layout", "map", "odd.pt", "--to", "linear").code == 2
