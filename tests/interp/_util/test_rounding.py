"""MKL's products: the same bits wherever their matrices lie, unless the user has said otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.conftest import ROOT

ASK = "import os; print(os.environ.get('MKL_CBWR'))"


def started(first: str, **set_by_user: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "MKL_CBWR"} | set_by_user
    done = subprocess.run(
        [sys.executable, "-c", f"{first}; {ASK}"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_asked_of_mkl_before_torch_unless_the_user_says_how() -> None:
    assert started("import interp") == "AUTO"
    assert started("import interp", MKL_CBWR="AVX2") == "AVX2"
    assert started("import torch, interp") == "None"  # too late, and no lie to processes that it starts


def test_a_product_has_the_same_bits_at_any_place_in_memory() -> None:
    assert started(
        "import interp, torch; a, b = torch.randn(7, 6, 9), torch.randn(7, 9, 11); whole = torch.bmm(a, b); "
        "assert all(torch.equal(whole[i:i + 1], torch.bmm(a[i:i + 1].clone(), b[i:i + 1].clone())) for i in range(7))"
    )
