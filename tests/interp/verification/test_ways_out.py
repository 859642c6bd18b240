"""A file of claims comes from a stranger: it reads nothing outside its folder, reaches no machine, and takes no memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import interp
from tests.interp.cli.conftest import run  # noqa: F401
from tests.interp.cli.console import Run
from tests.interp.verification.tables import CLAIMS, replay, written

NETWORK = 'task.accuracy\ntask = "digits"\npublished = 1.0\n'
MAP = 'layout = "linear_chain"\n[names]\n"fc1.weight" = "a"\n"fc1.bias" = "b"\n"fc2.weight" = "c"\n"fc2.bias" = "d"\n'
REFUSED = {
    "a layout above": (NETWORK + 'layout = "../map.toml"', "layout must be a path inside the folder"),
    "a layout by its full path": (NETWORK + 'layout = "{outside}"', "layout must be a path inside the folder"),
    "a layout through a link": (NETWORK + 'layout = "link.toml"', "is a symbolic link"),
    "a layout's file": (NETWORK + 'layout = "linear_chain:order={outside}.txt"', "leads out of the folder"),
    "a task's file": (NETWORK.replace('"digits"', '"group:table={outside}"'), "leads out of the folder"),
    "a task's file, quoted twice": (
        """task.accuracy\ntask = '''group:table="'{outside}'"'''\npublished = 1.0""", "holds a comma, a quote or a bracket",
    ),
    "a task's file behind a word": (
        """task.accuracy\ntask = '''group:split="torch\\x2ctable={outside}"'''\npublished = 1.0""", "holds a comma, a quote",
    ),
    "what it trains on": (
        """trained.at\ntrains_on = '''group:split="torch\\x2ctable={outside}"'''\ncurve = "x"\nat_step = 1
settings = {{ steps = 1 }}\npublished = 1.0""", "holds a comma, a quote",
    ),
    "a scheduler": (
        'analysis\nanalysis = "progress"\nmetric = "x"\nsettings = {{ executor = "dask:tcp://127.0.0.1:1" }}\npublished = 1\n',
        "settings.executor: a claim does not say where",
    ),
    "links of a glob": ('file.count\npublished = 1', "is a symbolic link"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_outside_is_named(name: str, tmp_path: Path) -> None:
    """Refused before anything is opened."""
    folder, outside = written(tmp_path), tmp_path / "map.toml"
    outside.write_text(MAP)
    os.symlink(outside, folder / "link.toml")
    fields, said = REFUSED[name]
    with pytest.raises(interp.InterpError, match="claims.one") as caught:
        replay(folder, "*.toml" if "glob" in name else "t.csv", *fields.format(outside=outside).split("\n", 1))
    assert said in str(caught.value)


def test_a_name_map_is_that_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one of the folder in which the command is typed."""
    folder = written(tmp_path)
    torch.save(
        {"a": torch.ones(4, 3), "b": torch.ones(4), "c": torch.ones(2, 4), "d": torch.ones(2)}, folder / "net.pt"
    )
    (folder / "map.toml").write_text(MAP)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "map.toml").write_text("")
    found = replay(folder, "net.pt", "network.parameters", 'layout = "map.toml"\npublished = 26')
    assert found.verdict.agreement == "agrees", found.verdict.reason


LONG = {
    "a key": "claims.x" + ".a" * 100_000 + " = 1\n",
    "a header": "[claims" + ".a" * 100_000 + "]\n",
    "with blanks and quotes": "[claims" + " . 'a'" * 50_000 + "]\n",
    "with escaped quotes": "a" + '.a."\\""' * 50_000 + " = 1\n",
    "in a table": "claims = { x" + ".a" * 100_000 + " = 1 }\n",
}


@pytest.mark.parametrize("name", LONG)
def test_dots_without_end_take_no_memory(name: str, tmp_path: Path) -> None:
    """tomllib alone takes gigabytes for them."""
    path = tmp_path / "claims.toml"
    path.write_text(LONG[name])
    script = f"""
import resource, interp
from interp.verification.facts import read_facts
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
try:
    read_facts({str(path)!r})
except interp.InterpError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "line 1 has a name of more than 20 parts with dots" in done.stdout


def test_sentences_are_no_names(tmp_path: Path) -> None:
    """In a text, and in a comment."""
    folder = written(tmp_path)
    words = ". ".join(map(str, range(40)))
    (folder / "claims.toml").write_text(f"# {words}\n" + CLAIMS.replace("Three rows", words))
    assert interp.verify(folder).agrees


def test_a_file_beside_another_is_refused_as_early(tmp_path: Path) -> None:
    folder = written(tmp_path)
    torch.save({"a": torch.ones(2)}, folder / "net.pt")
    torch.save({"a": torch.ones(2)}, folder / "other.pt")
    claim = 'claim = "c"\nfile = "net.pt"\nquantity = "network.difference"\nbeside = "other.pt"\npublished = 0\n'
    (folder / "claims.toml").write_text(
        f'title = "T"\nsource = "S"\n[files."other.pt"]\ntask = "group:table=/etc/passwd"\n[claims.one]\n{claim}'
    )
    with pytest.raises(interp.InterpError, match="leads out of the folder"):
        interp.verify(folder)


def test_a_column_may_have_any_name(tmp_path: Path) -> None:
    """Also that of a setting of the user's machine."""
    folder = written(tmp_path)
    (folder / "u.csv").write_text("device,executor\ncpu,1\ncuda,2\n")
    found = replay(folder, "u.csv", "table.rows", 'row = { device = "cpu", executor = 1 }\npublished = 1').verdict
    assert found.agreement == "agrees", found.reason


def test_many_keys_in_json_are_quick(tmp_path: Path) -> None:
    """Of which the last stands twice."""
    folder = written(tmp_path)
    keys = ",".join(f'"{i}": 1' for i in range(200_000))
    (folder / "m.json").write_text(f'{{{keys}, "199999": 2}}')
    began = time.perf_counter()
    found = replay(folder, "m.json", "recorded.length", "published = 1").verdict
    assert "the key '199999' stands twice" in found.reason
    assert time.perf_counter() - began < 10  # minutes, if every key is counted


@pytest.mark.parametrize("where", ["row", "settings", "published"])
def test_deep_tables_are_one_line(where: str, tmp_path: Path) -> None:
    deep = "{ a = " * 300 + "1" + " }" * 300
    path = written(tmp_path) / "claims.toml"
    path.write_text(CLAIMS.replace("published = 2.0\n", "") + f"{where} = {deep}\n")
    with pytest.raises(interp.UnreadableFile, match="nested more than 100 levels"):
        interp.verify(path.parent)


def test_deep_json_is_one_line(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "m.json").write_text('{"x": ' + "[" * 900 + "]" * 900 + "}")
    found = replay(folder, "m.json", "recorded", "published = 1").verdict
    assert "nested more than 100 levels" in found.reason


def test_a_title_moves_no_cursor(tmp_path: Path, run: Run) -> None:  # noqa: F811
    folder = written(tmp_path)
    (folder / "claims.toml").write_text(CLAIMS.replace("A table", "\\u001b[31mRed\\u202e"))
    done = run("verify", folder)
    assert not {"\x1b", "\u202e"} & set(done.out + done.err)
    assert "\\x1b[31mRed\\u202e: 2 facts" in done.log
