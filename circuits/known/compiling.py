"""From a program to the weights of a transformer: one-hot subspaces, a head for each aggregate, ReLU steps for each map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from circuits.known.program import Aggregate, Map, Program, Variable, code
from interp.hooked import HookedTransformer, TransformerConfig

HARD, SOFT = 100.0, 6.0  # attention scores of a selected key: of others, exp(-100) is left, or exp(-6)


def compiled(
    program: Program, output: Variable, soft: bool = False, idle_heads: int = 1, idle_neurons: int = 2
) -> HookedTransformer:
    """The transformer that computes a program; at every position its logits are the one-hot vector of ``output``.

    Each variable has a subspace of the residual stream; each aggregate is a head whose scores are 100 for selected keys and 0
    for others, so that its softmax is exact to 1e-40; each map is a row of steps, two ReLU neurons a step.

    Args:
        program: its variables in order.
        output: the categorical variable that is unembedded.
        soft: scores are 6, and steps take the whole way between two values. Logits are no longer exact, and gradients, which
            vanish between hard steps and in saturated attention, are there everywhere.
        idle_heads: heads of each layer that write nothing.
        idle_neurons: neurons of each layer that nobody reads.

    Returns:
        the model, in float64.
    """
    subspaces, size = _subspaces(program.variables)
    layers = (max(v.time for v in program.variables) + 1) // 2
    heads = [[v for v in program.variables if v.time == 2 * i + 1] for i in range(layers)]
    maps = [[v for v in program.variables if v.time == 2 * i + 2 and v.made_by is not None] for i in range(layers)]
    rows = [[_steps(v, subspaces, size, soft) for v in layer] for layer in maps]
    d_mlp = max(sum(W_in.shape[1] for W_in, _, _, _ in layer) for layer in rows) + idle_neurons
    wide = [max(_head_width(v) for v in layer) for layer in heads if layer]
    config = TransformerConfig(
        n_layers=layers, d_model=size, n_heads=max(map(len, heads)) + idle_heads, d_head=max(wide),
        d_vocab=len(program.alphabet), d_vocab_out=len(output.values), n_ctx=program.n_ctx,
        d_mlp=d_mlp if any(rows) else None, causal=program.causal, attn_scale=1.0,
    )  # fmt: skip
    model = HookedTransformer(config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.W_E[:, subspaces["tokens"]] = torch.eye(len(program.alphabet)).double()
        model.W_pos[:, subspaces["indices"]] = torch.eye(program.n_ctx).double()
        model.W_U[subspaces[output.name]] = torch.eye(len(output.values)).double()
        for i in range(layers):
            for h, variable in enumerate(heads[i]):
                _write_head(model, i, h, variable, subspaces, SOFT if soft else HARD)
            if config.d_mlp is not None:
                _write_mlp(model, i, rows[i])
    return model


def _subspaces(variables: Sequence[Variable]) -> tuple[dict[str, slice], int]:
    found, start = {}, 0
    for variable in variables:
        found[variable.name] = slice(start, start + variable.width)
        start += variable.width
    return found, start


def _head_width(variable: Variable) -> int:
    made = variable.made_by
    assert isinstance(made, Aggregate)
    return max(variable.width, 1 if made.key is None else made.key.width)


def _write_head(
    model: HookedTransformer, layer: int, h: int, variable: Variable, subspaces: Mapping[str, slice], score: float
) -> None:
    made, attn = variable.made_by, model.block(layer).attention
    assert isinstance(made, Aggregate)
    if made.query is not None and made.key is not None and made.select is not None:
        chosen = [[score * made.select(a, b) for b in made.key.values] for a in made.query.values]
        attn.W_Q[h, subspaces[made.query.name], : made.key.width] = torch.tensor(chosen, dtype=torch.float64)
        attn.W_K[h, subspaces[made.key.name], : made.key.width] = torch.eye(made.key.width).double()
    read = torch.eye(made.source.width).double()
    if made.weights is not None:
        read = torch.tensor([[made.weights.get(v, 0.0)] for v in made.source.values], dtype=torch.float64)
    attn.W_V[h, subspaces[made.source.name], : variable.width] = read
    attn.W_O[h, : variable.width, subspaces[variable.name]] = torch.eye(variable.width).double()


def _steps(
    variable: Variable, subspaces: Mapping[str, slice], size: int, soft: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``W_in``, ``b_in``, ``W_out`` and ``b_out`` of a map: a ramp between two sums with different results."""
    made = variable.made_by
    assert isinstance(made, Map)
    read = torch.zeros(size, dtype=torch.float64)
    for source, weight in zip(made.sources, made.weights, strict=True):
        codes = [1.0] if source.number else [code(source, v) for v in source.values]
        read[subspaces[source.name]] = weight * torch.tensor(codes, dtype=torch.float64)
    totals = [total for total, _ in made.steps]
    written = [_vector(variable, value) for _, value in made.steps]
    columns, biases, outs = [], [], []
    for i in range(len(totals) - 1):
        jump = written[i + 1] - written[i]
        if not bool(jump.any()):
            continue
        gap = totals[i + 1] - totals[i]
        middle = totals[i] + (0.5 if soft else made.at) * gap
        slope = 1 / gap if soft else 1 / (gap * min(made.at, 1 - made.at))
        for shift, sign in ((0.5, 1.0), (-0.5, -1.0)):  # relu(s (x - m) + 1/2) - relu(s (x - m) - 1/2)
            columns.append(slope * read)
            biases.append(shift - slope * middle)
            outs.append(sign * jump)
    out = torch.zeros(len(columns), size, dtype=torch.float64)
    bias = torch.zeros(size, dtype=torch.float64)
    out[:, subspaces[variable.name]] = torch.stack(outs)
    bias[subspaces[variable.name]] = written[0]
    return torch.stack(columns, 1), torch.tensor(biases, dtype=torch.float64), out, bias


def _vector(variable: Variable, value: object) -> Tensor:
    vector = torch.zeros(variable.width, dtype=torch.float64)
    if variable.number:
        vector[0] = 0.0 if value is None else float(str(value))
    elif value is not None:
        vector[variable.values.index(value)] = 1.0
    return vector


def _write_mlp(model: HookedTransformer, layer: int, rows: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]]) -> None:
    mlp, start = model.block(layer).mlp, 0
    for W_in, b_in, W_out, b_out in rows:
        part = slice(start, start + len(b_in))
        mlp.W_in[:, part], mlp.b_in[part], mlp.W_out[part] = W_in, b_in, W_out
        mlp.b_out.add_(b_out)
        start = part.stop
    mlp.W_in[:, start:] = 1.0  # neurons that read everything, and that nobody reads
