"""The rooms of the house: which may import which, drawn as arrows that run one way only."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.conftest import ROOT

PACKAGES = ("interp", "probes", "circuits")

# Every room and the rooms that its modules may import, at run time, lazily or for types. A package that only hands on names
# of its rooms is a door; `X.*` are the modules that stand at the top of X beside its rooms.
ARROWS: dict[str, str] = {
    "interp._util": "interp.errors",
    "interp.activations": "interp.errors, interp.hooked.*, interp.hooked.foreign, interp.sites",
    "interp.checkpoints (door)": "interp.checkpoints.*, interp.series",
    "interp.checkpoints.*": (
        "interp._util, interp.checkpoints.formats, interp.checkpoints.layouts, interp.checkpoints.logged, "
        "interp.errors, interp.hooked (door), interp.hooked.*, interp.series, interp.subject, interp.tasks"
    ),
    "interp.checkpoints.formats": (
        "interp._util, interp.errors, interp.hooked.*, interp.neat, interp.picbreeder, interp.tasks"
    ),
    "interp.checkpoints.layouts": (
        "interp._util, interp.checkpoints.formats, interp.errors, interp.hooked (door), interp.hooked.*, "
        "interp.hooked.cppn, interp.hooked.mlp, interp.hooked.rnn, interp.hooked.toy_model, "
        "interp.hooked.transformer, interp.tasks"
    ),
    "interp.checkpoints.logged": "interp._util, interp.checkpoints.formats, interp.errors",
    "interp.cli (door)": "interp.cli.commands",
    "interp.cli.*": "interp._util, interp.errors, interp.plugins, interp.report, interp.subject, interp.training.*",
    "interp.cli.commands": (
        "interp._util, interp.checkpoints (door), interp.checkpoints.*, interp.checkpoints.layouts, interp.cli.*, "
        "interp.cli.train, interp.errors, interp.hooked (door), interp.plugins, interp.report, interp.subject, "
        "interp.verification.*"
    ),
    "interp.cli.train": (
        "interp._util, interp.checkpoints (door), interp.cli.*, interp.errors, interp.hooked (door), "
        "interp.hooked.cppn, interp.tasks, interp.training.*"
    ),
    "interp.errors": "",
    "interp.groups": "interp.errors",
    "interp.history": (
        "interp._util, interp.checkpoints (door), interp.checkpoints.formats, interp.errors, interp.hooked "
        "(door), interp.plugins, interp.series, interp.snapshot, interp.subject, interp.tasks, "
        "interp.training.*"
    ),
    "interp.hooked (door)": (
        "interp.hooked.*, interp.hooked.cppn, interp.hooked.foreign, interp.hooked.lstm, interp.hooked.mlp, "
        "interp.hooked.neat, interp.hooked.registry, interp.hooked.rnn, interp.hooked.toy_model, interp.hooked.transformer"
    ),
    "interp.hooked.*": "interp.errors, interp.sites",
    "interp.hooked.cppn": "interp.errors, interp.hooked.*, interp.pictures, interp.sites",
    "interp.hooked.foreign": "interp.errors, interp.hooked.*, interp.hooked.transformer, interp.sites",
    "interp.hooked.lstm": "interp.errors, interp.hooked.*",
    "interp.hooked.mlp": "interp.errors, interp.hooked.*",
    "interp.hooked.neat": "interp.errors, interp.hooked.*",
    "interp.hooked.registry": (
        "interp._util, interp.errors, interp.hooked.*, interp.hooked.cppn, interp.hooked.lstm, "
        "interp.hooked.mlp, interp.hooked.neat, interp.hooked.rnn, interp.hooked.toy_model, interp.hooked.transformer"
    ),
    "interp.hooked.rnn": "interp.errors, interp.hooked.*",
    "interp.hooked.toy_model": "interp.errors, interp.hooked.*",
    "interp.hooked.transformer": "interp.errors, interp.hooked.*",
    "interp.neat": "interp.errors, interp.hooked.cppn, interp.hooked.neat, interp.picbreeder, interp.pictures",
    "interp.picbreeder": "interp._util, interp.errors, interp.hooked.cppn, interp.pictures",
    "interp.notebook": "",
    "interp.phase_diagrams": "interp.errors, interp.notebook, interp.report",
    "interp.pictures": "interp._util, interp.errors",
    "interp.plugins": (
        "interp._util, interp.errors, interp.hooked (door), interp.notebook, interp.pictures, interp.snapshot, "
        "interp.subject"
    ),
    "interp.report": (
        "interp._util, interp.checkpoints (door), interp.checkpoints.*, interp.errors, interp.hooked (door), interp.notebook, "
        "interp.pictures, interp.plugins, interp.subject"
    ),
    "interp.runs": "interp._util, interp.errors",
    "interp.scores": "interp.errors, interp.tasks",
    "interp.series": "interp.errors, interp.hooked.*",
    "interp.sites": "interp.errors",
    "interp.snapshot": (
        "interp.activations, interp.errors, interp.hooked (door), interp.sites, interp.subject, interp.tasks"
    ),
    "interp.subject": (
        "interp._util, interp.activations, interp.errors, interp.hooked (door), interp.neat, interp.notebook, "
        "interp.picbreeder, interp.runs, interp.series, interp.tasks"
    ),
    "interp.tasks": (
        "interp._util, interp.errors, interp.groups, interp.hooked (door), interp.hooked.*, interp.hooked.cppn, "
        "interp.hooked.foreign, "
        "interp.hooked.mlp, interp.hooked.rnn, interp.hooked.transformer"
    ),
    "interp.training (door)": "interp.training.*, interp.training.updates",
    "interp.training.*": (
        "interp._util, interp.checkpoints.*, interp.checkpoints.formats, interp.errors, interp.hooked (door), "
        "interp.hooked.*, interp.hooked.foreign, interp.phase_diagrams, interp.scores, interp.series, "
        "interp.sites, interp.snapshot, interp.subject, interp.tasks, interp.training.by_hand, "
        "interp.training.updates"
    ),
    "interp.training.by_hand": (
        "interp._util, interp.hooked (door), interp.hooked.*, interp.hooked.cppn, interp.hooked.mlp, "
        "interp.hooked.transformer, interp.tasks"
    ),
    "interp.training.updates": "interp._util, interp.errors, interp.snapshot, interp.tasks",
    "interp.verification (door)": "",
    "interp.verification.*": (
        "interp._util, interp.checkpoints (door), interp.checkpoints.formats, interp.errors, interp.notebook, interp.plugins, "
        "interp.report, interp.snapshot, interp.subject, interp.tasks"
    ),
    "interp.verification.quantities": (
        "interp._util, interp.checkpoints.formats, interp.checkpoints.layouts, interp.errors, interp.history, "
        "interp.hooked (door), interp.neat, interp.picbreeder, interp.plugins, interp.scores, interp.tasks, "
        "interp.training.*, interp.verification.*"
    ),
    "probes.*": (
        "interp.activations, interp.errors, interp.hooked (door), interp.hooked.*, interp.hooked.cppn, interp.hooked.foreign, "
        "interp.phase_diagrams, interp.picbreeder, interp.pictures, interp.scores, interp.sites, "
        "interp.snapshot, interp.subject, interp.tasks, interp.verification.*"
    ),
    "probes.analyses": (
        "interp._util, interp.activations, interp.errors, interp.history, interp.hooked (door), interp.neat, "
        "interp.phase_diagrams, interp.picbreeder, interp.pictures, interp.plugins, interp.report, "
        "interp.scores, interp.sites, interp.snapshot, interp.subject, interp.tasks, interp.training.*, "
        "probes.*, probes.claims, probes.fourier, probes.measures, probes.similarity_maps"
    ),
    "probes.claims": "interp.plugins, interp.scores, interp.tasks, probes.*",
    "probes.fourier": "interp.errors, interp.tasks, probes.*",
    "probes.representations": "interp.errors, interp.groups, probes.*",
    "probes.similarity": "interp.errors, probes.*",
    "probes.similarity_maps": (
        "interp._util, interp.activations, interp.errors, interp.history, interp.hooked (door), interp.hooked.foreign, "
        "interp.notebook, interp.report, interp.runs, interp.sites, interp.subject, interp.training.*, probes.*, "
        "probes.similarity"
    ),
    "probes.plots": (
        "interp._util, interp.activations, interp.errors, interp.hooked (door), interp.hooked.*, interp.notebook, "
        "interp.report, interp.sites, interp.subject, interp.tasks, probes.*, probes.fourier"
    ),
    "probes.measures": (
        "interp._util, interp.activations, interp.errors, interp.hooked (door), interp.plugins, "
        "interp.scores, interp.snapshot, interp.subject, interp.tasks, probes.*, probes.fourier"
    ),
    "circuits.*": "interp._util, interp.errors, interp.notebook, interp.report, interp.tasks",
    "circuits.analyses": (
        "circuits.*, circuits.claims, circuits.compression, circuits.discovery, circuits.engine, circuits.experiments, "
        "circuits.factor_units, circuits.fourier, circuits.interventions, circuits.two_networks, circuits.weight_line, "
        "circuits.weight_sweeps, interp._util, interp.errors, interp.hooked (door), "
        "interp.hooked.*, interp.hooked.foreign, interp.pictures, interp.plugins, interp.report, "
        "interp.scores, interp.sites, interp.subject, probes.*, probes.claims, probes.representations"
    ),
    "circuits.claims": "interp.plugins, probes.claims",
    "circuits.compression": (
        "circuits.*, circuits.experiments, circuits.interventions, circuits.weight_sweeps, interp._util, "
        "interp.activations, interp.errors, interp.hooked (door), interp.hooked.*, interp.hooked.cppn, "
        "interp.report, interp.scores, interp.sites, interp.snapshot, interp.subject, probes.*"
    ),
    "circuits.discovery": (
        "circuits.*, circuits.engine, circuits.interventions, interp._util, interp.activations, "
        "interp.errors, interp.hooked (door), interp.hooked.*, interp.hooked.foreign, interp.notebook, interp.report, "
        "interp.sites, interp.subject, interp.tasks"
    ),
    "circuits.engine": (
        "circuits.*, circuits.interventions, interp._util, interp.activations, interp.errors, interp.hooked (door), "
        "interp.hooked.*, interp.hooked.foreign, interp.hooked.transformer, interp.sites, interp.subject, interp.tasks, probes.*"
    ),
    "circuits.experiments": (
        "circuits.*, circuits.engine, circuits.interventions, interp._util, interp.activations, "
        "interp.checkpoints.*, interp.errors, interp.hooked.*, interp.hooked.foreign, "
        "interp.hooked.transformer, interp.notebook, interp.report, interp.sites, interp.subject, interp.tasks, probes.*"
    ),
    "circuits.factor_units": (
        "circuits.*, circuits.discovery, circuits.engine, circuits.interventions, circuits.weight_sweeps, interp._util, "
        "interp.activations, interp.errors, interp.hooked.*, interp.report, interp.sites, interp.subject, interp.tasks, probes.*"
    ),
    "circuits.fourier": (
        "interp._util, interp.activations, interp.errors, interp.groups, interp.hooked.*, interp.plugins, interp.scores, "
        "interp.sites, interp.snapshot, interp.subject, interp.tasks, probes.*, probes.fourier, "
        "probes.representations"
    ),
    "circuits.lens": (
        "circuits.*, circuits.engine, interp._util, interp.activations, interp.errors, interp.hooked.*, interp.notebook, "
        "interp.report, interp.subject, interp.tasks, probes.*"
    ),
    "circuits.interventions": (
        "circuits.*, interp._util, interp.activations, interp.errors, interp.hooked.*, interp.hooked.foreign, interp.sites, "
        "interp.subject, interp.tasks, probes.*"
    ),
    "circuits.known": (
        "interp._util, interp.activations, interp.checkpoints (door), interp.checkpoints.formats, "
        "interp.errors, interp.hooked (door), interp.subject, interp.tasks"
    ),
    "circuits.methods": (
        "circuits.*, circuits.discovery, circuits.engine, circuits.interventions, circuits.known, interp._util, "
        "interp.activations, interp.errors, interp.hooked (door), interp.hooked.*, interp.hooked.foreign, "
        "interp.notebook, interp.report, interp.sites, interp.subject, probes.*"
    ),
    "circuits.weight_line": (
        "circuits.*, circuits.discovery, circuits.engine, circuits.weight_sweeps, interp._util, interp.activations, "
        "interp.errors, interp.hooked (door), interp.hooked.*, interp.hooked.cppn, interp.hooked.rnn, interp.report, "
        "interp.subject, interp.tasks"
    ),
    "circuits.two_networks": (
        "circuits.*, circuits.engine, circuits.interventions, circuits.weight_line, circuits.weight_sweeps, "
        "interp.activations, interp.errors, interp.hooked (door), interp.hooked.*, interp.hooked.cppn, "
        "interp.hooked.foreign, interp.notebook, interp.report, interp.sites, interp.subject, interp.tasks, probes.*, "
        "probes.similarity, probes.similarity_maps"
    ),
    "circuits.weight_sweeps": (
        "circuits.*, interp._util, interp.activations, interp.errors, interp.hooked (door), interp.hooked.*, "
        "interp.hooked.cppn, interp.hooked.mlp, interp.hooked.transformer, interp.notebook, "
        "interp.pictures, interp.plugins, interp.report, "
        "interp.snapshot, interp.subject, interp.tasks, interp.groups, probes.*, probes.fourier, probes.representations"
    ),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


@cache
def imported(path: Path) -> frozenset[str]:
    """Modules of ours that a file imports, wherever the import stands in it; every file is parsed once."""
    return frozenset(_imports(path, modules()))


def _imports(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in PACKAGES)


@cache
def room_of(module: str) -> str:
    """The room in which a module stands: the deepest folder, or a file at the top of interp, which is its own."""
    folder = ROOT.joinpath(*module.split("."))
    if folder.is_dir():
        has_rooms = any((child / "__init__.py").is_file() for child in folder.iterdir())
        return f"{module} (door)" if has_rooms else module
    parent, _, _ = module.rpartition(".")
    if parent == "interp":
        return module
    has_rooms = any((child / "__init__.py").is_file() for child in ROOT.joinpath(*parent.split(".")).iterdir())
    return f"{parent}.*" if has_rooms else parent


def drawn() -> dict[str, set[str]]:
    """Arrows between rooms: who imports whom. The doors of the three packages list exports, and are left out."""
    known = modules()
    arrows: dict[str, set[str]] = {}
    for module, path in known.items():
        if module in PACKAGES:
            continue
        room = room_of(module)
        arrows.setdefault(room, set())
        arrows[room] |= {room_of(m) for m in imported(path) if m not in PACKAGES} - {room}
    return arrows


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """A way along arrows that comes back to where it began; empty where there is none."""
    done: set[str] = set()

    def walk(room: str, way: list[str]) -> list[str]:
        if room in way:
            return [*way[way.index(room) :], room]
        if room not in done:
            for following in sorted(arrows.get(room, ())):
                if found := walk(following, [*way, room]):
                    return found
            done.add(room)
        return []

    return next(filter(None, (walk(room, []) for room in sorted(arrows))), [])


def test_rooms_import_what_the_table_allows() -> None:
    """No arrow that the table lacks, and none in it that nobody uses."""
    allowed = {room: set(text.split(", ")) - {""} for room, text in ARROWS.items()}
    assert drawn() == allowed


def test_arrows_run_one_way() -> None:
    """From room to room, and from file to file within a room."""
    assert circle(drawn()) == []
    known = modules()
    files = {m: {i for i in imported(path) if i not in PACKAGES} - {m} for m, path in known.items()}
    assert circle({m: found for m, found in files.items() if m not in PACKAGES}) == []


def test_packages_import_downwards() -> None:
    """circuits > probes > interp, in the table as everywhere."""
    rank = {name: i for i, name in enumerate(PACKAGES)}
    for room, targets in drawn().items():
        assert all(rank[t.split(".")[0]] <= rank[room.split(".")[0]] for t in targets), room


def test_a_circle_is_seen() -> None:
    """The check can fail."""
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_files_hold_one_noun() -> None:
    """At most 300 lines: what is longer holds several."""
    long = {name: n for name, path in modules().items() if (n := len(path.read_text("utf8").splitlines())) > 300}
    assert long == {}
