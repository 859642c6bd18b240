"""Copy the README's pictures out of the stored notebooks: ``python docs/gallery.py``."""

from __future__ import annotations

import base64
import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURES = {  # file in docs/images: the notebook, and words of the cell that draws it
    "gallery_modes": ("modular_addition", "Each mode as it turns on"),
    "gallery_sweeps": ("picbreeder_vs_sgd", "Symmetry and rank of the changes"),
    "gallery_phases": ("effective_theory", "Toy addition, classification"),
    "gallery_noise": ("sparse_parity", "Test accuracy against label noise"),
}


def picture(notebook: str, words: str) -> bytes:
    """The PNG that a notebook's cell with these words has drawn.

    Raises:
        LookupError: there is no such cell, or it was stored without a picture.
    """
    cells = json.loads((ROOT / "examples" / f"{notebook}.ipynb").read_text(encoding="utf8"))["cells"]
    for cell in cells:
        if cell["cell_type"] == "code" and words in "".join(cell["source"]):
            for output in cell["outputs"]:
                if "image/png" in output.get("data", {}):
                    return base64.b64decode(output["data"]["image/png"])
    raise LookupError(f"no cell of {notebook} with {words!r} holds a picture; run make notebooks where Chromium is")


if __name__ == "__main__":
    for name, (notebook, words) in PICTURES.items():
        (ROOT / "docs" / "images" / f"{name}.png").write_bytes(picture(notebook, words))
