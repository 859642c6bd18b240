"""Odd names, shapes, dtypes and settings, which end in a reading or in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import interp
from interp.errors import InterpError

ONE = torch.ones(2, 3)
ODD_NAMES = {
    "empty": [""],
    "empty parts": ["a..b", ".", "a."],
    "attributes of a module": ["config", "training", "x.training", "hook_dict", "_parameters", "type"],
    "a tensor that is a module, too": ["a", "a.b", "a_"],
    "thousands of parts": [".".join("a" * 3000), "b"],
    "numbers that no Python reads": [f"blocks.{'9' * 5000}.attn.W_Q", "blocks.\u00b2.attn.W_K.weight", "l.\u0663.weight"],
}  # fmt: skip


def saved(path: Path, **tensors: Tensor) -> Path:
    torch.save(tensors, path)
    return path


@pytest.mark.parametrize("kind", ODD_NAMES)
def test_tensors_of_any_name_can_be_analysed(kind: str, tmp_path: Path) -> None:
    """The weights alone, each under a name of its own and with its own values."""
    tensors = {name: ONE * (i + 1) for i, name in enumerate(ODD_NAMES[kind])}
    path = saved(tmp_path / "x.pt", **tensors)
    interp.inspect(path)
    subject = interp.load(path, layout="tensors", device="cpu")
    state = subject.model.state_dict()
    assert sorted(float(t[0, 0]) for t in state.values()) == [i + 1 for i in range(len(tensors))]
    assert subject.model.config.kind == "tensors"
    assert not subject.model.eval().training


PARTS = {
    "weight norm of a mask": {"fc.weight_g": torch.ones(2, 1), "fc.weight_v": torch.ones(2, 3, dtype=torch.bool)},
    "an empty mask": {"fc.weight_orig": torch.ones(0, 3), "fc.weight_mask": torch.ones(0, 3)},
    "spectral norm without an axis of u's length": {
        "fc.weight_orig": torch.ones(3, 4), "fc.weight_u": torch.ones(2), "fc.weight_v": torch.ones(6),
    },
    "spectral norm in two precisions": {
        "fc.weight_orig": torch.ones(3, 4, dtype=torch.float64), "fc.weight_u": torch.ones(3), "fc.weight_v": torch.ones(4),
    },
    "a low-rank update of another shape": {
        "fc.weight": torch.ones(3, 4), "fc.lora_A.weight": torch.ones(2, 5), "fc.lora_B.weight": torch.ones(3, 2),
    },
    "a low-rank update of a convolution": {
        "fc.weight": torch.ones(3, 4, 1, 1), "fc.lora_A.weight": torch.ones(2, 4, 1, 1),
        "fc.lora_B.weight": torch.ones(3, 2, 1, 1),
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", PARTS)
def test_parts_that_do_not_fit_together_stay_as_they_are(kind: str, tmp_path: Path) -> None:
    torch.save({"model": PARTS[kind], "config": {"lora_alpha": 4, "r": 2}}, tmp_path / "x.pt")
    subject = interp.load(tmp_path / "x.pt", layout="tensors", device="cpu")
    assert all(bool(t.isfinite().all()) for t in subject.model.state_dict().values())


LINES = {
    'layout = "linear_chain"\n[names]\n"{1}.weight" = "{1}.weight"': "not a name for a number",
    'layout = "linear_chain"\n[names]\n"fc1.weight" = { from = "0.weight", as = "a b" }': "does not fit",
    'layout = "linear_chain"\n[names]\n"fc1.weight" = { from = "0.weight", as = "a b -> b a", pattern = 2 }': "does not fit",
    'layout = "linear_chain"\n[config]\neps = "x"\n[names]\n"fc1.weight" = "0.weight"': "eps must be",
}


@pytest.mark.parametrize("text", LINES)
def test_name_maps_say_what_is_wrong_with_a_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(text)
    path = saved(tmp_path / "x.pt", **{"0.weight": ONE})
    with pytest.raises(InterpError, match=LINES[text]):
        interp.load(path, layout=str(tmp_path / "map.toml"), device="cpu")


def transformer(**others: Tensor) -> dict[str, Tensor]:
    d, heads, width = 4, 2, 2
    return {
        "embed.W_E": torch.ones(5, d), "pos_embed.W_pos": torch.ones(3, d), "unembed.W_U": torch.ones(d, 5),
        **{f"blocks.0.attn.W_{c}": torch.ones(heads, d, width) for c in "QKV"}, "blocks.0.attn.W_O": torch.ones(heads, width, d),
        **others,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["embed.W_E", "pos_embed.W_pos", "unembed.W_U", "blocks.0.attn.W_O"])
@pytest.mark.parametrize("shape", [(), (4,), (2, 2, 2, 2)])
def test_tensors_with_other_numbers_of_axes(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pt", **transformer(**{name: torch.ones(shape)}))
    with pytest.raises(InterpError, match="unknown layout|several layouts"):
        interp.load(path, device="cpu")


@pytest.mark.parametrize("setting", ["attn_scale=x", "attn_scale=-1", "attn_scale=inf", "causal=maybe", "post_norm=2"])
def test_settings_of_another_kind_are_refused(setting: str, tmp_path: Path) -> None:
    """A text would count as true."""
    path = saved(tmp_path / "x.pt", **transformer())
    with pytest.raises(InterpError, match=setting.partition("=")[0]):
        interp.load(path, layout=f"transformer_lens:{setting}", device="cpu")


def test_a_hook_point_a_step_has_an_end(tmp_path: Path) -> None:
    """A number in an option must not make modules for minutes."""
    path = saved(tmp_path / "x.pt", **torch.nn.RNN(3, 2).state_dict())
    with pytest.raises(InterpError, match="at most 10,000 steps"):
        interp.load(path, layout="recurrent:n_ctx=1000000000", device="cpu")


@pytest.mark.parametrize("task", ["group:table=", "digits:path=", "digits:path=~nobody/"])
def test_paths_that_no_system_takes(task: str) -> None:
    with pytest.raises(InterpError):
        interp.make_task(task + "x" * 5000).inputs  # noqa: B018
