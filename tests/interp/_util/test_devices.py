"""Names of dtypes and devices: what is meant is suggested, and what is missing here is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import interp
from interp._util.devices import DTYPES, resolve_device, resolve_dtype
from interp.errors import InterpError, UnknownName
from tests.models import make


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


MEANT = {
    "gpu": "did you mean 'cuda'?", "GPU:1": "did you mean 'cuda:1'?", "cdua": "did you mean 'cuda'", "metal": "'mps'?",
    "cuda:": "unknown device 'cuda:'", "": "known: auto, cpu", "xla": "'xla' is not supported; use auto",
}  # fmt: skip


@pytest.mark.parametrize("device", MEANT)
def test_unknown_devices(device: str) -> None:
    """Other programs' names lead to ours."""
    with pytest.raises(UnknownName, match=MEANT[device].replace("?", r"\?")) as raised:
        resolve_device(device)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("one_gpu")
def test_devices_with_a_gpu() -> None:
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")
    with pytest.raises(
        InterpError, match=r"does not have the device 'cuda:1' \(it has 1 CUDA device\); use cpu or auto"
    ):
        resolve_device("cuda:1")


@pytest.mark.usefixtures("no_gpu")
def test_devices_without_a_gpu() -> None:
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(InterpError, match=r"'cuda' \(it has no CUDA devices\)"):
        resolve_device("cuda")


def test_a_device_of_another_kind() -> None:
    with pytest.raises(InterpError, match="device must be a name such as auto, cpu or cuda, got an int"):
        resolve_device(0)  # pyright: ignore[reportArgumentType]


def test_dtypes() -> None:
    assert [resolve_dtype(name) for name in DTYPES] == list(DTYPES.values())
    assert resolve_dtype(torch.float16) is torch.float16
    assert resolve_dtype(None) is None
    for wrong in ("float", "int64", torch.int64, 32):
        with pytest.raises(UnknownName, match="known: float64, float32, float16, bfloat16"):
            resolve_dtype(wrong)  # pyright: ignore[reportArgumentType]


def test_load_refuses_what_is_no_device(tmp_path: Path) -> None:
    path = interp.save(make("shared concat"), tmp_path / "a.safetensors")
    with pytest.raises(UnknownName, match="did you mean 'cuda'"):
        interp.load(path, device="gpu")
