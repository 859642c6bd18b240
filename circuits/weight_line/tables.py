"""The symmetries of every architecture: which axis of which parameter carries which units."""

from __future__ import annotations

from collections.abc import Callable

from circuits.weight_line.symmetries import Parity, Symmetries, UnitGroup, parity_of
from interp.errors import InterpError
from interp.hooked import HookedCPPN, HookedLSTM, HookedMLP, HookedModel, HookedRNN, HookedToyModel, HookedTransformer
from interp.hooked.rnn.config import GATES

IN_PLACE = "rotations, and scalings such as a ReLU's, are not searched"


def symmetries_of(model: HookedModel) -> Symmetries:
    """The relabellings of a model's units that leave its function as it is.

    Args:
        model: an MLP, transformer, CPPN, recurrent network or toy model of superposition.

    Returns:
        the groups of units and the axes on which they lie.

    Raises:
        InterpError: another model.
    """
    for kind, table in TABLES.items():
        if type(model) is kind:
            found = table(model)
            known = {name for name, _ in model.named_parameters()}
            return Symmetries(found.groups, {n: a for n, a in found.axes.items() if n in known}, found.notes)
    raise InterpError(
        f"which weights of a {type(model).__name__} belong to which unit is not known, so its units cannot be matched; "
        f"known are {', '.join(kind.__name__ for kind in TABLES)}. The line itself needs no matching: match=False"
    )


def _mlp(model: HookedMLP) -> Symmetries:
    config = model.config
    parity = parity_of(config.act_fn)
    groups: list[UnitGroup] = []
    table: dict[str, str] = {}
    notes: tuple[str, ...] = (IN_PLACE,)
    before = "-"
    if config.d_embed is not None and config.d_vocab is not None:
        own, joined = config.embedding == "per_operand", config.combine == "concat"
        if config.combine == "product":
            notes += ("the embeddings are multiplied as matrices, so their dimensions stay in place",)
            table["embed.W_E"] = f"-{config.n_operands} - -{config.d_embed}" if own else f"- -{config.d_embed}"
        else:
            within = "operands" if own and joined else ""
            groups += [UnitGroup("operands", config.n_operands, fixed=True)] if within else []
            groups.append(UnitGroup("embed", config.d_embed, (), _all("odd", config.d_embed), within))
            first = "gain:operands" if within else f"-{config.n_operands}"
            table["embed.W_E"] = f"{first} - in:embed" if own else "- in:embed"
            before = f"{first} out:embed" if joined else "out:embed"
    for i, width in enumerate(config.hidden):
        name = f"layers.{i}"
        groups.append(UnitGroup(name, width, (), _all(parity, width), site=f"{name}.hook_post"))
        table |= {f"{name}.W": f"{before} in:{name}", f"{name}.b": f"in:{name}"}
        before = f"out:{name}"
    return Symmetries.read(groups, {**table, "unembed.W_U": f"{before} -", "unembed.b_U": "-"}, notes)


def _cppn(model: HookedCPPN) -> Symmetries:
    config = model.config
    names = {"cache": "identity", "sigmoid": "cppn sigmoid"}
    kinds = tuple(names.get(kind, kind) for kind in config.kinds)
    # the picture shows the size of the value, not its sign
    of_value: tuple[Parity, ...] = ("none", "none", "even")
    outputs = UnitGroup("outputs", 3, ("hue", "saturation", "value"), of_value)
    parities: tuple[Parity, ...] = tuple(parity_of(kind) for kind in kinds)
    groups: list[UnitGroup] = []
    table: dict[str, str] = {}
    before = "-"
    for i in range(config.n_layers):
        name = f"layers.{i}"
        groups.append(UnitGroup(name, config.width, kinds, parities, site=f"{name}.hook_post"))
        table[f"{name}.W"] = f"{before} in:{name}"
        before = f"out:{name}"
    return Symmetries.read([*groups, outputs], {**table, "unembed.W_U": f"{before} in:outputs"}, (IN_PLACE,))


def _transformer(model: HookedTransformer) -> Symmetries:
    config = model.config
    centred = config.normalization in ("LN", "LNPre")  # with another sign, an entry moves the mean
    residual = UnitGroup("residual", config.d_model, (), _all("none" if centred else "odd", config.d_model))
    groups = [residual]
    table = {"embed.W_E": "- in:residual", "pos_embed.W_pos": "- in:residual", "ln_final.w": "gain:residual",
             "ln_final.b": "in:residual", "unembed.W_U": "out:residual -", "unembed.b_U": "-"}  # fmt: skip
    parity: Parity = "odd" if config.gated_mlp else parity_of(config.act_fn)  # the gated part is read linearly
    for i in range(config.n_layers):
        block = f"blocks.{i}"
        heads, qk, vo, mlp = (f"{block}.{name}" for name in ("heads", "qk", "vo", "neurons"))
        groups += [UnitGroup(heads, config.n_heads)]
        groups += [UnitGroup(name, config.d_head, (), _all("odd", config.d_head), heads) for name in (qk, vo)]
        attn, own = f"{block}.attn", f"gain:{heads}"
        table |= {f"{attn}.W_Q": f"{own} out:residual in:{qk}", f"{attn}.W_K": f"{own} out:residual out:{qk}",
                  f"{attn}.W_V": f"{own} out:residual in:{vo}", f"{attn}.W_O": f"{own} out:{vo} in:residual",
                  f"{attn}.b_Q": f"{own} in:{qk}", f"{attn}.b_K": f"{own} out:{qk}", f"{attn}.b_V": f"{own} in:{vo}",
                  f"{attn}.b_O": "in:residual"}  # fmt: skip
        table |= {f"{block}.ln{k}.{n}": f"{'gain' if n == 'w' else 'in'}:residual" for k in (1, 2) for n in "wb"}
        if config.d_mlp:
            groups.append(UnitGroup(mlp, config.d_mlp, (), _all(parity, config.d_mlp), site=f"{block}.mlp.hook_post"))
            parts = {"W_in": f"out:residual in:{mlp}", "b_in": f"in:{mlp}", "W_gate": f"out:residual gain:{mlp}",
                     "b_gate": f"gain:{mlp}", "W_out": f"out:{mlp} in:residual", "b_out": "in:residual"}  # fmt: skip
        else:
            parts = {"W_in": "out:residual -", "b_in": "-", "W_gate": "out:residual -", "b_gate": "-",
                     "W_out": "- in:residual", "b_out": "in:residual"}  # fmt: skip
        table |= {f"{block}.mlp.{name}": text for name, text in parts.items()}
    return Symmetries.read(groups, table, (IN_PLACE,))


def _recurrent(model: HookedRNN | HookedLSTM) -> Symmetries:
    config = model.config
    if getattr(config, "bidirectional", False):
        raise InterpError(
            "the units of a bidirectional recurrent network cannot be matched yet; match=False draws the line"
        )
    cell = model.config.cell if isinstance(model, HookedRNN) else "lstm"
    parity = parity_of(model.config.act_fn) if isinstance(model, HookedRNN) and cell == "rnn" else "none"
    groups: list[UnitGroup] = []
    table: dict[str, str] = {}
    before = "-"
    if config.d_vocab is not None:
        width = config.d_embed or 0
        groups.append(UnitGroup("embed", width, (), _all("odd", width)))
        table["embed.W_E"], before = "- in:embed", "out:embed"
    for i in range(config.n_layers):
        name = f"layers.{i}"
        groups.append(UnitGroup(name, config.d_hidden, (), _all(parity, config.d_hidden)))
        gates = f"-{GATES[cell]} in:{name}"
        table |= {f"{name}.W_ih": f"{before} {gates}", f"{name}.W_hh": f"out:{name} {gates}", f"{name}.b_ih": gates,
                  f"{name}.b_hh": gates, f"{name}.h_0": f"in:{name}", f"{name}.c_0": f"in:{name}"}  # fmt: skip
        before = f"out:{name}"
    signs = () if parity == "odd" else ("signs of gated units are not searched",)
    read = {"unembed.W_U": f"{before} -", "unembed.b_U": "-"}
    if config.d_out is None:  # the hidden states are the answer
        groups[-1] = UnitGroup(groups[-1].name, config.d_hidden, tuple(map(str, range(config.d_hidden))))
    return Symmetries.read(groups, {**table, **read}, (IN_PLACE, *signs))


def _toy_model(model: HookedToyModel) -> Symmetries:
    size = model.config.n_hidden
    hidden = UnitGroup("hidden", size, (), _all("odd", size), site="hook_hidden")
    return Symmetries.read([hidden], {"W": "in:hidden -", "b_final": "-"}, (IN_PLACE,))


def _all(parity: Parity, size: int) -> tuple[Parity, ...]:
    return () if parity == "none" else (parity,) * size


TABLES: dict[type[HookedModel], Callable[..., Symmetries]] = {
    HookedMLP: _mlp, HookedTransformer: _transformer, HookedCPPN: _cppn, HookedRNN: _recurrent, HookedLSTM: _recurrent,
    HookedToyModel: _toy_model,
}  # fmt: skip
