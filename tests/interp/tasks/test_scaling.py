"""How pixels were scaled: against numpy, in specs and files, and on the case whose true accuracy is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import interp
from interp import InterpError
from interp.tasks import Digits, make_task, task_from_dict, task_to_dict
from tests.conftest import ROOT

CASE = ROOT.parent / "shared" / "cases" / "digits_normalised"


def colour(tmp_path: Path, shape: tuple[int, ...]) -> tuple[Path, np.ndarray]:
    pixels = np.random.default_rng(0).integers(0, 256, (6, *shape)).astype(np.uint8)
    path = tmp_path / "colour.npz"
    np.savez(path, x=pixels, y=np.arange(6) % 3)
    return path, pixels


def test_one_number_for_all_pixels() -> None:
    """(pixel - mean) / std of pixels from 0 to 1; nothing changes without them."""
    plain = Digits(n_train=50).inputs.double()
    found = Digits(n_train=50, mean=0.1307, std=0.3081).inputs.double()
    torch.testing.assert_close(found, (plain - 0.1307) / 0.3081, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(Digits(n_train=50, std=1 / 16).inputs.double(), plain * 16)
    torch.testing.assert_close(Digits(n_train=50, mean=[0.5]).inputs.double(), plain - 0.5)


@pytest.mark.parametrize("shape", [(5, 4, 3), (3, 5, 4)])
def test_a_number_per_channel(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Whether channels come first or last; as rows of pixels in the file's order, or as images with channels first."""
    path, pixels = colour(tmp_path, shape)
    mean, std = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
    last = shape[-1] == 3
    spread = [np.reshape(v, (1, 1, 1, 3) if last else (1, 3, 1, 1)) for v in (mean, std)]
    expected = (pixels / 255 - spread[0]) / spread[1]
    task = Digits(str(path), n_train=6, mean=mean, std=std)
    np.testing.assert_allclose(task.inputs.double(), expected.reshape(6, -1), atol=1e-6)
    images = Digits(str(path), n_train=6, mean=mean, std=std, images=True).inputs
    np.testing.assert_allclose(images.double(), np.moveaxis(expected, -1, 1) if last else expected, atol=1e-6)
    assert Digits(n_train=9, images=True).inputs.shape[1:] == (1, 8, 8)


def test_it_is_a_part_of_the_task(tmp_path: Path) -> None:
    """In the spec, typed back; in a stored run; left out where it is not given; older files load."""
    path, _ = colour(tmp_path, (5, 4, 3))
    for task in (
        Digits(mean=0.5, std=0.25),
        Digits(str(path), n_train=6, mean=(0.5, 0.4, 0.3), std=0.25, images=True),
        Digits(std=np.float64(0.5)),
        Digits(mean=torch.tensor(1)),
    ):
        assert make_task(task.spec()) == task
        assert task_from_dict(json.loads(json.dumps(task_to_dict(task)))) == task
    assert (
        make_task("digits:mean=0.5,std=0.25").spec()
        == "digits:n_train=1000,order=first,seed=0,loss=mse,mean=0.5,std=0.25"
    )
    assert Digits().spec() == "digits:n_train=1000,order=first,seed=0,loss=mse"
    old = {"name": "digits", "path": "", "n_train": 1000, "n_test": None, "order": "first", "seed": 0, "loss": "mse"}
    assert task_from_dict(old) == Digits()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"std": 0}, "std must be above 0"),
        ({"std": (0.5, -1)}, "std must be above 0"),
        ({"mean": "grey"}, "mean must be a number, or one per channel"),
        ({"mean": True}, "mean must be a number"),
        ({"mean": float("nan")}, "mean must be a number"),
        ({"mean": ()}, "mean must be a number"),
        ({"mean": (0.1, 0.2, 0.3)}, r"3 values per channel for images \[8, 8\], none of which are that many channels"),
        ({"images": 1}, "images must be true or false"),
    ],
)
def test_bad_scales(options: dict[str, object], message: str) -> None:
    """Refused, with what is needed."""
    with pytest.raises(InterpError, match=message):
        Digits(**options)  # type: ignore[arg-type]


def test_channels_that_could_be_two_axes(tmp_path: Path) -> None:
    """Three channels of three columns: asked."""
    path, _ = colour(tmp_path, (3, 5, 3))
    with pytest.raises(InterpError, match="either axis could be the channels"):
        Digits(str(path), n_train=6, mean=(0.1, 0.2, 0.3))


@pytest.mark.skipif(not CASE.is_dir(), reason=f"no case at {CASE}")
def test_the_case_of_normalised_digits() -> None:
    """The true accuracy over all 1,797 digits, and that on raw pixels without the options."""
    known = json.loads((CASE / "accuracy.json").read_text())
    for spec, name in (
        ("digits:mean=0.5,std=0.25", "true_accuracy_all_1797"),
        ("digits", "accuracy_raw_pixels_0_to_1"),
        ("digits:std=0.0625", "accuracy_pixels_0_to_16"),
    ):
        subject = interp.load(CASE / "mlp.pt", task=spec + ("," if ":" in spec else ":") + "loss=cross_entropy")
        assert interp.score(subject.require_task(), subject.logits()).accuracy == pytest.approx(known[name], abs=1e-6)
