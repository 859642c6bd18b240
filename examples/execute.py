"""Run the notebooks from top to bottom.

    python examples/execute.py                          all of them at laptop size, outputs stored in the notebooks
    python examples/execute.py sparse_parity            one of them
    python examples/execute.py --size quick             seconds each, as the tests run them; nothing is stored
    python examples/execute.py --size full --out full   the sources' own sizes, for a GPU; written to a folder

Needs ``pip install -e '.[examples]'``, and Chromium, which turns the figures into pictures.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from PIL import Image

HERE = Path(__file__).parent
SIZES = ("quick", "laptop", "full")
MAX_STORED = 1_600_000  # bytes of outputs in all notebooks together
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ANSI = re.compile(r"\x1b\[[0-9;]*m")
KEPT = ("text/html", "text/plain", "image/png", "application/vnd.interp.claims+json")


def names() -> list[str]:
    """Every notebook, in alphabetical order."""
    return sorted(path.stem for path in HERE.glob("*.ipynb"))


def data_folder() -> Path:
    """Where the files of others are: ``INTERP_DATA``, or ``shared/data`` beside the checkout, or ``examples/data``."""
    beside = HERE.parents[1] / "shared" / "data"
    return Path(os.environ.get("INTERP_DATA") or (beside if beside.is_dir() else HERE / "data")).resolve()


def run(name: str, size: str, data: Path | None = None, timeout: int | None = None) -> nbformat.NotebookNode:
    """Execute a notebook in a fresh kernel.

    Args:
        data: the folder of other people's files; see `data_folder`.
        timeout: seconds that a cell may take.

    Raises:
        CellExecutionError: a cell that fails.
    """
    notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
    kernel = dict(os.environ) | {"INTERP_SIZE": size, "INTERP_DATA": str(data or data_folder())}
    kernel["PLOTLY_RENDERER"] = "png" if size != "quick" and browser() else "plotly_mimetype"
    client = NotebookClient(
        notebook, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": str(HERE)}},
        extra_arguments=["--log-level=ERROR"],
    )  # fmt: skip
    client.execute(env=kernel)
    return notebook


def browser() -> str | None:
    """Chromium or Chrome, which turns figures into pictures."""
    named = os.environ.get("BROWSER_PATH")  # what kaleido obeys, too
    return named or next(filter(None, map(shutil.which, BROWSERS)), None)


def slim(notebook: nbformat.NotebookNode) -> None:
    """Keep what a reader looks at: tables, printed lines and pictures; no progress bars, scripts or times of execution."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
        for output in cell.outputs:
            if "data" not in output:
                continue
            output.data = {mime: content for mime, content in output.data.items() if mime in KEPT}
            output.metadata = {}
            if "text/html" in output.data:
                output.data.pop("text/plain", None)
            if "image/png" in output.data:
                output.data = {"image/png": _smaller(output.data["image/png"])}


def _smaller(picture: str) -> str:
    """A PNG with 64 colours on white."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    small = io.BytesIO()
    white.convert("RGB").quantize(64).save(small, "png", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def stored_bytes() -> int:
    """Bytes of outputs in all notebooks."""
    notebooks = (nbformat.read(HERE / f"{name}.ipynb", as_version=4) for name in names())
    return sum(len(str(cell.get("outputs", ""))) for notebook in notebooks for cell in notebook.cells)


def store(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write what a reader looks at; the folder is made."""
    slim(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def _reason(error: CellExecutionError | DeadKernelError) -> str:
    if isinstance(error, DeadKernelError):
        return "its process died; was there enough memory?"
    return f"{error.ename}: {error.evalue}\n{ANSI.sub('', str(error))[-2000:]}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(names())}; all by default")
    parser.add_argument("--size", choices=SIZES, default="laptop")
    parser.add_argument("--out", type=Path, help="write the notebooks here, and leave those in examples/ as they are")
    parser.add_argument(
        "--without-figures", action="store_true", help="store tables and text alone where no Chromium is"
    )
    given = parser.parse_args(arguments)
    for name in given.names:
        if name not in names():
            parser.error(f"there is no notebook {name!r}; there are {', '.join(names())}")
    if given.size == "full" and not given.out:
        parser.error("full takes hours and is not stored in examples/: say where to with --out FOLDER")
    if given.out and given.out.exists() and not given.out.is_dir():
        parser.error(f"{given.out} is a file; --out names a folder")
    storing = given.out or given.size == "laptop"
    if storing and not browser() and not given.without_figures:
        parser.error("no Chromium: figures could not be stored; set BROWSER_PATH to one, or add --without-figures")
    failed = 0
    for name in given.names or names():
        started = time.perf_counter()
        print(f"{name} ({given.size}) ...", end=" ", flush=True)
        try:
            notebook = run(name, given.size)
        except KeyboardInterrupt:
            print("stopped" + ("; the notebooks before it are stored" if storing else ""))
            return 130
        except (CellExecutionError, DeadKernelError) as error:
            print(f"failed: {_reason(error)}")
            failed += 1
            continue
        print(f"{time.perf_counter() - started:.0f} s", flush=True)
        if storing:
            store(notebook, (given.out or HERE) / f"{name}.ipynb")
    if storing and not given.out and stored_bytes() > MAX_STORED:
        print(f"the notebooks store {stored_bytes():,} bytes of outputs; {MAX_STORED:,} are allowed: show less")
        failed += 1
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
