"""Where no layout fits: names that speak against a chain, name maps, weights alone, and a layout of one's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from einops import rearrange
from torch import Tensor, nn

import interp
from interp.checkpoints.templates import name_map, new_layout
from interp.errors import AmbiguousLayout, InterpError, MissingCapability, UnknownLayout, UnknownName


def linear(**widths: tuple[int, int]) -> dict[str, Tensor]:
    """Modules of nn.Linear by name."""
    torch.manual_seed(0)
    return {
        f"{name}.{part}": tensor.double()
        for name, (n_in, n_out) in widths.items()
        for part, tensor in nn.Linear(n_in, n_out).state_dict().items()
    }


NO_CHAINS: dict[str, tuple[dict[str, tuple[int, int]], str]] = {
    "recurrent": ({"i2h": (5, 8), "h2h": (8, 8), "out": (8, 3)}, "i2h speaks of a recurrent connection"),
    "recurrent in words": (
        {"input_to_hidden": (5, 8), "hidden_to_hidden": (8, 8), "out": (8, 3)},
        "input_to_hidden speaks of a recurrent connection",
    ),
    "recurrent in camel case": ({"fc": (5, 8), "hiddenToHidden": (8, 8), "out": (8, 3)}, "nearest is 'recurrent'"),
    "recurrent matrices": ({"Wxh": (5, 8), "Whh": (8, 8), "Why": (8, 3)}, "Wxh speaks of a recurrent connection"),
    "actor and critic": ({"trunk": (4, 8), "actor": (8, 8), "critic": (8, 1)}, "actor speaks of heads"),
    "policy and value": ({"body.0": (4, 8), "policy_head": (8, 8), "value_head": (8, 1)}, "policy_head speaks of heads"),
    "two heads": ({"trunk": (4, 8), "head1": (8, 8), "head2": (8, 2)}, "head1 and head2 speak of several heads"),
    "a shortcut": ({"inp": (4, 8), "block1": (8, 8), "shortcut": (8, 8), "head": (8, 3)}, "shortcut speaks of a shortcut"),
    "a downsampling branch": ({"fc1": (8, 8), "downsample.0": (8, 8), "fc2": (8, 3)}, "downsample.0 speaks of a shortcut"),
    "attention": ({"query": (8, 8), "key": (8, 8), "value": (8, 8), "out": (8, 3)}, "query speaks of attention"),
    "a variational encoder": ({"enc": (8, 4), "mu": (4, 4), "logvar": (4, 4)}, "mu speaks of heads"),
}  # fmt: skip


@pytest.mark.parametrize(("widths", "reason"), NO_CHAINS.values(), ids=NO_CHAINS)
def test_names_that_speak_against_a_chain(widths: dict[str, tuple[int, int]], reason: str, saved: Callable) -> None:
    """Their matrices would chain; they are refused by name, with the ways on."""
    path = saved(linear(**widths))
    if "recurrent connection" in reason:  # with the matrix from the input, it is read as what it is
        assert interp.load(path, device="cpu").provenance.layout == "recurrent"
    else:
        with pytest.raises(UnknownLayout) as caught:
            interp.load(path, device="cpu")
        assert reason in str(caught.value) or "separate_attention" in str(caught.value)
        for way in (
            "--layout tensors",
            "interp layout map",
            "--module package.module:Class",
            "interp.wrap(module",
            "interp layout new",
        ):
            assert way in str(caught.value)
    layer = next(iter(widths))
    one = interp.load(path, layout=f"linear_chain:order={layer},orientation=out_in", device="cpu")
    assert len(one.provenance.extra_tensors) == 2 * (len(widths) - 1)
    assert any("left out of the chain" in warning for warning in one.warnings)


def test_what_all_names_begin_with_says_nothing(saved: Callable) -> None:
    """A critic alone is a chain."""
    critic = linear(**{"critic.0": (4, 8), "critic.2": (8, 1)})
    assert interp.load(saved(critic), device="cpu").model.config.hidden == (8,)


def test_a_square_matrix_without_a_place_is_asked_for(saved: Callable) -> None:
    """It could be recurrent or parallel; the answer is named, and settles it."""
    path = saved(linear(a=(4, 8), transform=(8, 8), z=(8, 3)))
    with pytest.raises(
        AmbiguousLayout, match=r"transform \(8 x 8\) could be a layer of a chain, recurrent.*order=a>transform>z"
    ):
        interp.load(path, device="cpu")
    assert interp.load(path, layout="linear_chain:order=a>transform>z", device="cpu").model.config.hidden == (8, 8)


BARE: dict[str, tuple[str, ...]] = {
    "numbered": ("W1", "b1", "W2", "b2"),
    "numbered with an underscore": ("w_0", "b_0", "w_1", "b_1"),
    "words": ("weights1", "biases1", "weights2", "biases2"),
    "in and out": ("W_in", "b_in", "W_out", "b_out"),
    "by position": ("arr_0", "arr_1", "arr_2", "arr_3"),
    "flax": ("Dense_0/kernel", "Dense_0/bias", "Dense_1/kernel", "Dense_1/bias"),
    "keras": ("dense/kernel:0", "dense/bias:0", "dense_1/kernel:0", "dense_1/bias:0"),
    "haiku": ("mlp/~/linear_0.w", "mlp/~/linear_0.b", "mlp/~/linear_1.w", "mlp/~/linear_1.b"),
    "behind": ("fc1_w", "fc1_b", "fc2_w", "fc2_b"),
}  # fmt: skip


@pytest.mark.parametrize("orientation", ["in_out", "out_in"])
@pytest.mark.parametrize("flat", [True, False], ids=["vectors", "rows"])
@pytest.mark.parametrize("names", BARE.values(), ids=BARE)
def test_bare_matrices_and_their_biases(names: tuple[str, ...], flat: bool, orientation: str, tmp_path: Path) -> None:
    """As nets written in numpy or JAX keep them; the orientation is known from the biases."""
    rng = np.random.default_rng(0)
    w1, b1, w2, b2 = rng.normal(size=(6, 5)), rng.normal(size=5), rng.normal(size=(5, 3)), rng.normal(size=3)
    x = rng.normal(size=(7, 6))
    expected = np.maximum(x @ w1 + b1, 0) @ w2 + b2
    rows = [b if flat else b[None] if orientation == "in_out" else b[:, None] for b in (b1, b2)]
    matrices = [w if orientation == "in_out" else w.T for w in (w1, w2)]
    np.savez(tmp_path / "net.npz", **dict(zip(names, (matrices[0], rows[0], matrices[1], rows[1]), strict=True)))
    model = interp.load(tmp_path / "net.npz", device="cpu").model
    np.testing.assert_allclose(model(torch.from_numpy(x)).detach().numpy(), expected, atol=1e-12)


def test_tensors_in_a_list(saved: Callable) -> None:
    """And as pairs, as JAX keeps them."""
    torch.manual_seed(0)
    w1, b1, w2, b2 = (torch.randn(s, dtype=torch.float64) for s in ((6, 5), (5,), (5, 3), (3,)))
    x = torch.randn(7, 6, dtype=torch.float64)
    for tree in ([w1, b1, w2, b2], (w1, b1, w2, b2), [(w1, b1), (), (w2, b2)], {"params": {"a_0": {"kernel": w1, "bias": b1},
                 "a_1": {"kernel": w2, "bias": b2}}}):  # fmt: skip
        torch.testing.assert_close(interp.load(saved(tree), device="cpu").model(x), torch.relu(x @ w1 + b1) @ w2 + b2)


def test_a_name_map_on_the_command_line(saved: Callable) -> None:
    """The layers first to last; what is not named is left out and told."""
    torch.manual_seed(0)
    tensors = {
        n: torch.randn(s, dtype=torch.float64)
        for n, s in {"A": (6, 5), "alpha": (5,), "B": (5, 3), "C": (3, 3)}.items()
    }
    subject = interp.load(saved(tensors), layout="linear_chain:weights=A>B,biases=alpha>none", device="cpu")
    x = torch.randn(7, 6, dtype=torch.float64)
    torch.testing.assert_close(subject.model(x), torch.relu(x @ tensors["A"] + tensors["alpha"]) @ tensors["B"])
    assert "C was left out of the chain" in subject.warnings
    for spec, said in (("weights=A>D", "unknown tensor 'D'"), ("weights=A>B,biases=alpha", "2 weights, but 1 biases"),
                       ("order=A,biases=alpha", "without their weights"), ("order=A>A", "occurs twice")):  # fmt: skip
        with pytest.raises(InterpError, match=said):
            interp.load(saved(tensors), layout=f"linear_chain:{spec}", device="cpu")


MAP = """
layout = "transformer_lens"
[options]
act_fn = "gelu"
[names]
"embed.W_E" = "tok.weight"
"pos_embed.W_pos" = "pos.weight"
"blocks.{l}.attn.W_Q" = { from = "layers.{l}.q.weight", as = "(h k) d -> h d k", h = 2 }
"blocks.{l}.attn.W_K" = { from = "layers.{l}.k.{h}", as = "h k d -> h d k" }
"blocks.{l}.attn.W_V" = { from = "layers.{l}.v.weight", as = "(h k) d -> h d k", h = 2 }
"blocks.{l}.attn.W_O" = { from = "layers.{l}.o.weight", as = "d (h k) -> h k d", h = 2 }
"blocks.{l}.mlp.W_in" = { from = "layers.{l}.up.weight", as = "m d -> d m" }
"blocks.{l}.mlp.b_in" = "layers.{l}.up.bias"
"blocks.{l}.mlp.W_out" = { from = "layers.{l}.down.weight", as = "d m -> m d" }
"blocks.{l}.mlp.b_out" = "layers.{l}.down.bias"
"unembed.W_U" = { from = "out.weight", as = "v d -> d v" }
"""


def mapped_file(saved: Callable) -> tuple[Path, interp.HookedTransformer]:
    """A transformer of ours under names of nobody, and one tensor more."""
    config = interp.TransformerConfig(
        n_layers=2, d_model=8, n_heads=2, d_head=4, d_vocab=7, d_vocab_out=5, n_ctx=3, d_mlp=6, act_fn="gelu", unembed_bias=False,
        attn_bias=False,
    )  # fmt: skip
    model = interp.HookedTransformer(config).init_weights(0).double()
    w = dict(model.named_parameters())
    theirs = {
        "tok.weight": w["embed.W_E"],
        "pos.weight": w["pos_embed.W_pos"],
        "out.weight": w["unembed.W_U"].T,
        "odd": torch.ones(2),
    }
    for i in range(2):
        block, to = f"blocks.{i}", f"layers.{i}"
        for ours, name in (("W_Q", "q"), ("W_V", "v")):
            theirs[f"{to}.{name}.weight"] = rearrange(w[f"{block}.attn.{ours}"], "h d k -> (h k) d")
        for h in range(2):
            theirs[f"{to}.k.{h}"] = w[f"{block}.attn.W_K"][h].T
        theirs[f"{to}.o.weight"] = rearrange(w[f"{block}.attn.W_O"], "h k d -> d (h k)")
        theirs[f"{to}.up.weight"], theirs[f"{to}.up.bias"] = w[f"{block}.mlp.W_in"].T, w[f"{block}.mlp.b_in"]
        theirs[f"{to}.down.weight"], theirs[f"{to}.down.bias"] = w[f"{block}.mlp.W_out"].T, w[f"{block}.mlp.b_out"]
    return saved({n: t.detach().clone() for n, t in theirs.items()}), model


def test_a_name_map_for_a_transformer(saved: Callable, tmp_path: Path) -> None:
    """In TOML: names with numbers, axes as einops writes them, heads stacked; the network computes the same."""
    path, model = mapped_file(saved)
    (tmp_path / "map.toml").write_text(MAP)
    subject = interp.load(path, layout=str(tmp_path / "map.toml"), device="cpu")
    tokens = torch.randint(7, (6, 3))
    torch.testing.assert_close(subject.model(tokens), model(tokens), rtol=1e-12, atol=1e-12)
    assert "odd is in no line of map.toml, so it was left out" in subject.warnings


def mapping(how: str) -> str:
    return f'layout = "linear_chain"\n[names]\n"a.weight" = {{ from = "tok.weight", {how} }}'


FAULTS = {
    "no TOML": ("= [", "not TOML"),
    "no layout": ('[names]\n"a" = "b"', "layout is missing"),
    "an unknown layout": ('layout = "x"\n[names]\n"a" = "b"', "unknown layout 'x'"),
    "an unknown entry": ('layout = "suite"\nname = 1', "unknown entry of a name map 'name'"),
    "no names": ('layout = "linear_chain"', r"\[names\] is empty"),
    "an unknown option": ('layout = "linear_chain"\n[options]\nx = 1\n[names]\n"a" = "b"', "unknown option"),
    "a number": ('layout = "linear_chain"\n[names]\n"a" = 3', 'write "name", or'),
    "no tensor": ('layout = "linear_chain"\n[names]\n"a.weight" = "tok.wight"', "did you mean 'tok.weight'"),
    "a pattern": (mapping('as = "a -> a"'), "does not fit tok.weight"),
    "no einops": (mapping('as = "(( -> x"'), "does not fit tok.weight"),
    "a text for a size": (mapping('as = "(h k) d -> h d k", h = "2"'), "whole numbers"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), FAULTS.values(), ids=FAULTS)
def test_a_name_map_that_is_wrong(text: str, said: str, saved: Callable, tmp_path: Path) -> None:
    """One message that names the map."""
    path, _ = mapped_file(saved)
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(InterpError, match=f"(?s)map.toml.*{said}"):
        interp.load(path, layout=str(tmp_path / "map.toml"), device="cpu")
    with pytest.raises(InterpError, match="cannot be read"):
        interp.load(path, layout="nowhere.toml", device="cpu")


def test_weights_alone(saved: Callable) -> None:
    """Tensors of any names and shapes, under their own names; what needs a network says so."""
    tensors = {
        "type": torch.ones(3, 4),
        "a": torch.ones(2),
        "a.b": torch.randn(5, 5),
        "x.forward.y": torch.ones(2, 2, 2),
        "n": torch.tensor(3),
    }
    subject = interp.load(saved(tensors), layout="tensors", device="cpu")
    assert {n: tuple(p.shape) for n, p in subject.model.named_parameters()} == {
        "type": (3, 4), "a_": (2,), "a.b": (5, 5), "x.forward.y": (2, 2, 2),
    }  # fmt: skip
    assert subject.provenance.extra_tensors == ("n",)
    outcomes = interp.analyze(subject)
    done = {name for name, o in outcomes.items() if o.status == "ok"}
    assert {"weights", "svd"} <= done
    assert not [o.error for o in outcomes.values() if o.status == "failed"]
    assert outcomes["pca"].reason == "needs a network that can be run; the layout of these tensors is unknown"
    with pytest.raises(MissingCapability, match="cannot be run"):
        subject.model(torch.zeros(1))
    with pytest.raises(InterpError, match="a task needs a network that can be run"):
        interp.load(saved(tensors), layout="tensors", task="modular:p=5", device="cpu")


def test_the_spectrum_of_a_named_axis(saved: Callable) -> None:
    """A cosine has one frequency, along whichever axis it is."""
    t = torch.arange(11, dtype=torch.float64)
    wave = torch.cos(2 * torch.pi * 3 * t / 11)[None] * torch.ones(4, 1)
    subject = interp.load(saved({"odd.table": torch.cat([wave, torch.zeros(4, 2)], 1)}), layout="tensors", device="cpu")
    options = {"tensor": "odd.table", "axis": 1, "first": 11}
    outcome = interp.analyze(subject, "axis_spectrum", {"axis_spectrum": options})["axis_spectrum"]
    assert outcome.result.metrics["key_frequencies"] == [3]
    assert outcome.result.tables["spectrum"]["share"][3] == pytest.approx(1)
    for wrong in (
        {"tensor": "no"},
        {"tensor": "odd.table", "axis": 2},
        {"tensor": "odd.table", "axis": 1, "first": 99},
    ):
        with pytest.raises(InterpError, match="axis_spectrum: "):
            interp.analyze(subject, "axis_spectrum", {"axis_spectrum": wrong})


def test_a_template_of_a_map_lists_the_tensors(saved: Callable) -> None:
    """And is TOML."""
    import tomllib

    path, _ = mapped_file(saved)
    text = name_map(path, "transformer_lens")
    assert tomllib.loads(text)["layout"] == "transformer_lens"
    assert '# "..." = "layers.0.q.weight"  # [8, 8]' in text
    with pytest.raises(UnknownName, match="unknown layout"):
        name_map(path, "transformer")


def test_a_template_of_a_layout_works_once_it_is_filled_in(saved: Callable, tmp_path: Path) -> None:
    """Its module, with the names said, reads the file that it was written for."""
    tensors = linear(first_one=(4, 8), actor=(8, 3))
    path = saved(tensors)
    said = new_layout("my_layout", tmp_path / "my_layout", path)
    assert any("pip install -e" in line for line in said)
    module = tmp_path / "my_layout" / "my_layout.py"
    names = {
        "layers.0.W": "first_one.weight",
        "layers.0.b": "first_one.bias",
        "unembed.W_U": "actor.weight",
        "unembed.b_U": "actor.bias",
    }
    text = module.read_text()
    start, end = text.index("NAMES: dict"), text.index("\n\n\nclass")
    module.write_text(text[:start] + f"NAMES: dict[str, str] = {names!r}" + text[end:])
    code = (
        "import sys, torch, interp; sys.path.insert(0, sys.argv[1]); import my_layout; "
        "from interp.checkpoints.formats.tensors import TensorRef; from interp.checkpoints.layouts import FileInfo; "
        "w = torch.load(sys.argv[2]); refs = {n: TensorRef.of(t) for n, t in w.items()}; L = my_layout.LAYOUT; "
        "assert L.matches(refs, FileInfo()).ok; c = L.convert(refs, FileInfo(), {}); "
        "m = interp.HookedMLP.from_weights(c.config, c.weights); x = torch.randn(5, 4, dtype=torch.float64); "
        "e = torch.relu(x @ w['first_one.weight'].T + w['first_one.bias']) @ w['actor.weight'].T + w['actor.bias']; "
        "torch.testing.assert_close(m(x), e)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(module.parent), str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(InterpError, match="exists already"):
        new_layout("my_layout", tmp_path / "my_layout", path)
    for name in ("My", "a-b", "linear_chain"):
        with pytest.raises(InterpError):
            new_layout(name, tmp_path / "x", None)


def test_what_looks_more_like_another_layout_is_not_read_as_a_chain(saved: Callable) -> None:
    """Three of the four matrices of two_embeddings, which would chain by their shapes."""
    with pytest.raises(UnknownLayout, match="nearest is 'two_embeddings'"):
        interp.load(saved({"W_x": torch.ones(5, 4), "W": torch.ones(4, 6), "W_U": torch.ones(6, 5)}), device="cpu")


def matrices(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    """Tensors of names in which ``__`` is a dot."""
    return {name.replace("__", "."): torch.randn(shape) for name, shape in shapes.items()}


NO_CHAINS = {
    "tkipf/pygcn": (
        matrices(gc1__weight=(5, 8), gc1__bias=(8,), gc2__weight=(8, 3), gc2__bias=(3,)),
        "a graph convolution",
    ),
    "PyTorch Geometric": (matrices(conv1__lin__weight=(8, 5), conv2__lin__weight=(3, 8)), "a graph convolution"),
    "GIN": (matrices(convs__0__nn__0__weight=(8, 5), convs__0__nn__2__weight=(8, 8)), "a graph convolution"),
    "a neural ODE": (matrices(odefunc__net__0__weight=(8, 2), odefunc__net__2__weight=(2, 8)), "an integral over time"),
    "deep sets": (
        matrices(phi__0__weight=(8, 5), phi__2__weight=(8, 8), rho__0__weight=(8, 8), rho__2__weight=(1, 8)),
        "phi and rho speak of a sum over a set",
    ),
}


@pytest.mark.parametrize("name", NO_CHAINS)
def test_networks_that_do_more_than_a_chain_are_not_read_as_one(name: str, tmp_path: Path) -> None:
    """Their matrices chain, but something is done between them that no tensor shows."""
    tensors, why = NO_CHAINS[name]
    torch.save(tensors, tmp_path / "net.pt")
    with pytest.raises(UnknownLayout, match=why):
        interp.load(tmp_path / "net.pt")


def test_blocks_that_may_be_residual_are_asked_about(tmp_path: Path) -> None:
    """They end on the width that they began with; the answer that makes a chain of them is in the message."""
    block = {f"blocks__{i}__{n}__weight": s for i in (0, 1) for n, s in {"lin1": (16, 8), "lin2": (8, 16)}.items()}
    torch.save(matrices(proj_in__weight=(8, 5), **block, proj_out__weight=(3, 8)), tmp_path / "net.pt")
    with pytest.raises(AmbiguousLayout, match=r"blocks\.0 \(8 > 16 > 8\) may be added") as caught:
        interp.load(tmp_path / "net.pt")
    answer = str(caught.value).split("--layout '")[1].split("'")[0]
    assert interp.load(tmp_path / "net.pt", layout=answer).model.config.hidden == (8, 16, 8, 16, 8)  # type: ignore[attr-defined]
    assert "given" in interp.inspect(tmp_path / "net.pt").facts["layout"]


def test_a_part_that_is_a_network_is_a_way_on(tmp_path: Path) -> None:
    """A network beside something else under other names: the command in the message opens it."""
    net = {f"net.{n}": t for n, t in nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).state_dict().items()}
    torch.save({"state_dict": {**net, "criterion.weight": torch.ones(3)}}, tmp_path / "last.ckpt")
    with pytest.raises(UnknownLayout, match=r"--key net   \(names begin with net, criterion\)"):
        interp.load(tmp_path / "last.ckpt")
    assert interp.load(tmp_path / "last.ckpt", key="net").model.config.hidden == (8,)  # type: ignore[attr-defined]


REASONS = {
    "complex numbers": ({"0.weight": torch.ones(3, 2, dtype=torch.complex64)}, r"0\.weight holds complex numbers"),
    "whole numbers": ({"0.weight": torch.ones(3, 2, dtype=torch.int8)}, "quantised weights need their scales"),
    "no numbers": ({"0.weight": torch.ones(0, 2)}, r"\[0, 2\] holds no number"),
    "a CNN": (matrices(conv__weight=(4, 1, 3, 3), fc__weight=(3, 8)), r"not part of a chain: conv\.weight"),
    "a projected LSTM": (nn.LSTM(5, 8, proj_size=3).state_dict(), "projects the hidden state"),
    "SAELens": (matrices(W_enc=(5, 20), b_enc=(20,), W_dec=(20, 5), b_dec=(5,)), "a sparse autoencoder"),
    "an adapter": (
        matrices(base__layers__0__q_proj__lora_A__weight=(2, 8), base__layers__0__q_proj__lora_B__weight=(8, 2)),
        r"an adapter alone: merge it into its model with peft's merge_and_unload",
    ),
}


@pytest.mark.parametrize("name", REASONS)
def test_the_reason_is_that_of_what_the_file_is(name: str, tmp_path: Path) -> None:
    """Not that of a layout that has nothing in common with it."""
    tensors, why = REASONS[name]
    torch.save(tensors, tmp_path / "net.pt")
    with pytest.raises(UnknownLayout, match=why) as caught:
        interp.load(tmp_path / "net.pt")
    assert "nearest is 'toy_addition'" not in str(caught.value)
