"""Inputs of the wrong kind, shape or vocabulary: one sentence at every door, and nothing in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.func import functional_call, stack_module_state, vmap

import interp
from interp import CPPNConfig, HookedCPPN, HookedMLP, HookedTransformer, InterpError, MLPConfig, capture
from interp.activations.gradients import gradients
from interp.hooked import HookedModel
from tests.models import CONFIGS, LSTMS, TRANSFORMERS, P, make

TOKEN_MODELS = ["plain", "layer norm", "shared concat", "shared sum", "per operand", "product", "lstm"]
DOORS: dict[str, Callable[[HookedModel, Any], object]] = {
    "forward": lambda model, x: model(x),
    "run_with_cache": lambda model, x: model.run_with_cache(x),
    "run_with_hooks": lambda model, x: model.run_with_hooks(x),
    "capture": lambda model, x: capture(model, x, "*"),
    "gradients": lambda model, x: gradients(model, x, lambda out: out, "hook_embed"),
}


def tokens_for(model: HookedModel) -> Tensor:
    columns = getattr(model.config, "n_ctx", 2)
    return torch.randint(0, P, (4, columns), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", TOKEN_MODELS)
def test_tokens_of_a_wrong_kind(name: str, door: str) -> None:
    """Lists, arrays, text, one axis, fractions: what is wanted, what came, and how to get there."""
    model = make(name)
    tokens, enter = tokens_for(model), DOORS[door]
    form = r"inputs must be a LongTensor \[batch, (pos|operand)\], got "
    for wrong, message in (
        (tokens.tolist(), form + r"list; torch.tensor\(inputs\)"), (tokens.numpy(), form + "ndarray; torch.tensor"),
        ("1 + 2 =", form + "str$"), (None, form + "NoneType$"),
        (tokens[0], form + r"\[[234]\] of int64; a single input needs a batch axis: inputs\[None\]"),
        (tokens.double(), form + r".* of float64; tokens are whole numbers: inputs.long\(\)"),
        (tokens.bool(), form + r".* of bool"),
    ):  # fmt: skip
        with pytest.raises(InterpError, match=message):
            enter(model, wrong)
    enter(model, tokens)
    enter(model, tokens.int())


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", TOKEN_MODELS)
def test_tokens_beyond_the_vocabulary(name: str, door: str) -> None:
    """The token and the size of the vocabulary are in the message."""
    model = make(name)
    tokens = tokens_for(model)
    d_vocab = model.config.d_vocab  # type: ignore[attr-defined]
    tokens[2, 1] = 200
    with pytest.raises(InterpError, match=rf"token 200 is outside .* of {d_vocab} tokens \(0 to {d_vocab - 1}\)"):
        DOORS[door](model, tokens)


@pytest.mark.parametrize("door", [d for d in DOORS if d != "forward"])
@pytest.mark.parametrize("name", TOKEN_MODELS)
def test_negative_tokens(name: str, door: str) -> None:
    """An index counted from the end is not a token. In `forward` values are not read: that would wait for a GPU."""
    model = make(name)
    tokens = tokens_for(model)
    tokens[0, 0] = -1
    with pytest.raises(InterpError, match="token -1 is outside the model's vocabulary"):
        DOORS[door](model, tokens)


def test_axes_that_torch_would_broadcast() -> None:
    """Three axes for a transformer or an LSTM, three operands for an MLP of two."""
    for name in ("plain", "lstm"):
        with pytest.raises(InterpError, match=r"\[batch, pos\], got \[1, 4, [34]\] of int64$"):
            make(name)(tokens_for(make(name))[None])
    for name in ("shared concat", "shared sum", "per operand"):
        with pytest.raises(InterpError, match=r"\[batch, 2\], a token for each operand, got \[5, 3\]"):
            make(name)(torch.zeros(5, 3, dtype=torch.long))


@pytest.mark.parametrize("door", [d for d in DOORS if d != "gradients"])
def test_vectors_of_a_wrong_kind(door: str) -> None:
    """Kind, dtype, width and batch axis, of an MLP over vectors and of a network that draws."""
    mlp = HookedMLP(MLPConfig((4,), 3, d_in=4)).double().init_weights(0)
    cppn = HookedCPPN(CPPNConfig("2;cache:1,sin:2")).double().init_weights(0)
    for model in (mlp, cppn):
        x = torch.randn(5, 4, dtype=model.dtype)
        for wrong, message in (
            (x.tolist(), "list; torch.tensor"), (x.numpy(), "ndarray"), ("abcd", "str$"),
            (x.long(), r"\[5, 4\] of int64; convert them with inputs.to\(model.dtype\)"),
            (x[0], r"\[4\] of float.*batch axis"), (x[:, :3], r"\[5, 3\] of float"),
        ):  # fmt: skip
            with pytest.raises(InterpError, match=r"inputs must be a float tensor \[batch, 4\], got " + message):
                DOORS[door](model, wrong)
        DOORS[door](model, x)


def test_foreign_modules_name_what_does_not_fit() -> None:
    """Their inputs are only known to themselves: torch's error is translated, with the inputs' shape."""
    module = torch.nn.Sequential(torch.nn.Embedding(7, 4), torch.nn.Flatten(), torch.nn.Linear(8, 3))
    guest = interp.wrap(module, torch.zeros(2, 2, dtype=torch.long))
    for wrong in (torch.full((3, 2), 9), torch.zeros(3, 5, dtype=torch.long), torch.zeros(3, 2)):
        message = rf"the Wrapped cannot run on inputs \[3, {wrong.shape[1]}\] of {str(wrong.dtype)[6:]}: "
        with pytest.raises(InterpError, match=message):
            capture(guest, wrong, "*")
        with pytest.raises(InterpError, match=message):
            gradients(guest, wrong, lambda out: out, "hook_out")
    with pytest.raises(InterpError, match=r"tensor \[batch, ...\], got list"):
        capture(guest, [[1, 2]], "*")  # type: ignore[arg-type]
    assert guest.watched_sites() == []


@pytest.mark.parametrize("name", [n for n in CONFIGS if n in TOKEN_MODELS] + list(LSTMS))
def test_models_stay_plain_functions_of_their_parameters(name: str) -> None:
    """The checks see one member's inputs within `vmap`, and values are not read there."""
    members = [make(name, seed) for seed in range(2)]
    parameters, _ = stack_module_state(members)  # type: ignore[arg-type]
    tokens = torch.stack([tokens_for(members[0])] * 2)
    together = vmap(lambda p, x: functional_call(members[0], p, (x,)))(parameters, tokens)
    for member, found in zip(members, together, strict=True):
        torch.testing.assert_close(found, member(tokens[0]), rtol=1e-10, atol=1e-10)
    hooked = vmap(lambda x: members[0].run_with_hooks(x))(tokens)
    torch.testing.assert_close(hooked[0], members[0](tokens[0]), rtol=1e-10, atol=1e-10)


def test_forward_reads_no_values() -> None:
    """Meta tensors have none: a forward pass that looked at a token would fail, as it would wait on a GPU."""
    for name in TOKEN_MODELS:
        model = make(name).to("meta")
        tokens = tokens_for(make(name)).to("meta")
        assert model(tokens).is_meta
        assert model.run_with_cache(tokens)[0].is_meta  # which would read them, if they had any


def test_numbers_that_look_like_tokens() -> None:
    """An array made a tensor gives what the tensor gives."""
    model = make("plain")
    array = np.array([[1, 2, P], [0, 6, P]])
    assert torch.equal(model(torch.tensor(array)), model(torch.tensor([[1, 2, P], [0, 6, P]])))


def test_fake_tensors_pass() -> None:
    """As a test without a GPU uses them in its place."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = HookedTransformer(TRANSFORMERS["plain"])
        assert capture(model, torch.zeros(2, 3, dtype=torch.long), "hook_logits")["hook_logits"].shape == (2, 3, P)
