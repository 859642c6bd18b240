"""Optimizers that step many networks at once, each with its own rates, exactly as torch.optim would step one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor

from interp._util.schema import fits
from interp._util.subnormals import without_subnormals
from interp.errors import InterpError, UnknownName, require_range, unknown

GROUPS = ("embedding", "decoder", "last")
VECTOR = 16  # numbers in the widest vectors of a CPU
FLUSH = 64  # steps; Adam's means of a dead unit fall to the smallest number and stay there: 0.9 of it rounds to itself
SMALLEST_EPS = 1e-12  # beside which the root of a mean that is flushed is rounded away
MAX_RUNS_ON_GPU = 4  # a kernel per run of equal rates costs more than one pass that broadcasts the rates


@dataclass(frozen=True)
class Optimizer:
    """SGD, Adam (weight decay as L2) or AdamW (decoupled), with torch.optim's definitions.

    ``<group>_lr`` and ``<group>_weight_decay`` replace ``lr`` and ``weight_decay`` for the embeddings, for everything else
    (the decoder), and for the last layer, which belongs to the decoder too; the most specific one holds.

    Attributes:
        name: ``"sgd"``, ``"adam"`` or ``"adamw"``.
        lr: learning rate.
        weight_decay: L2 for SGD and Adam, decoupled for AdamW.
        embedding_lr: learning rate of the embeddings; None: ``lr``.
        decoder_lr: learning rate of everything else; None: ``lr``.
        last_lr: learning rate of the last layer; None: the decoder's.
        embedding_weight_decay: of the embeddings; None: ``weight_decay``.
        decoder_weight_decay: of everything else; None: ``weight_decay``.
        last_weight_decay: of the last layer; None: the decoder's.
        betas: decay rates of Adam's two moments.
        eps: added to Adam's denominator.
        momentum: of SGD.
        nesterov: Nesterov's momentum, in SGD.
        grokfast: (alpha, lamb) of the filter that amplifies slow gradients, see `gradient_filters.grokfast`; None: no filter.
        perp_grad: take the part along the weights out of every gradient, see `gradient_filters.orthogonal`.
    """

    NAMES: ClassVar[tuple[str, ...]] = ("sgd", "adam", "adamw")

    name: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.0
    embedding_lr: float | None = None
    decoder_lr: float | None = None
    last_lr: float | None = None
    embedding_weight_decay: float | None = None
    decoder_weight_decay: float | None = None
    last_weight_decay: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.0
    nesterov: bool = False
    grokfast: tuple[float, float] | None = None
    perp_grad: bool = False

    def __post_init__(self) -> None:
        if self.name not in self.NAMES:
            raise UnknownName(unknown("optimizer", self.name, self.NAMES))
        if not isinstance(self.betas, (tuple, list)):
            raise InterpError(f"betas must be two numbers in [0, 1), got {self.betas!r}")
        object.__setattr__(self, "betas", tuple(self.betas))
        for field in RATES:
            value = getattr(self, field)
            if value is not None:
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    raise InterpError(f"{field} must be a number, got {value!r}")
                require_range(field, value, 0)
        numbers = all(isinstance(b, (int, float)) for b in self.betas)
        if len(self.betas) != 2 or not numbers or not all(0 <= b < 1 for b in self.betas):
            raise InterpError(f"betas must be two numbers in [0, 1), got {self.betas}")
        for field in ("momentum", "eps"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise InterpError(f"{field} must be a number, got {value!r}")
            require_range(field, value, 0)
        if self.grokfast is not None:
            object.__setattr__(self, "grokfast", _pair_of_rates(self.grokfast))
        if not isinstance(self.perp_grad, bool):
            raise InterpError(f"perp_grad must be true or false, got {self.perp_grad!r}")
        if self.nesterov and not (self.name == "sgd" and self.momentum):
            raise InterpError("nesterov needs SGD with a momentum above 0")

    def rates(self, groups: Sequence[str]) -> tuple[float, float]:
        """Learning rate and weight decay of a parameter that belongs to these groups, general to specific."""
        lr, weight_decay = self.lr, self.weight_decay
        for group in groups:
            own_lr, own_decay = getattr(self, f"{group}_lr"), getattr(self, f"{group}_weight_decay")
            lr = lr if own_lr is None else own_lr
            weight_decay = weight_decay if own_decay is None else own_decay
        return float(lr), float(weight_decay)

    def to_dict(self) -> dict[str, Any]:
        """The fields that are set, as plain values."""
        return {k: v for k, v in asdict(self).items() if v is not None}


RATES = tuple(f.name for f in fields(Optimizer) if f.name.endswith(("lr", "weight_decay")))


class BatchedOptimizer:
    """The state and the step of an optimizer for stacked parameters ``{name: [member, ...]}``.

    On a CPU, torch's own fused kernels update each run of neighbouring members with equal rates in one pass over memory;
    on a GPU with many different rates, one broadcast does. Both follow torch.optim step for step.

    Args:
        optimizer: the settings that all members share.
        parameters: by name, stacked ``[member, ...]``; they are updated in place.
        rates: by parameter name, one (learning rate, weight decay) per member.
        state: by ``"<moment>.<parameter>"``, as `state` returned it; zeros by default.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        parameters: Mapping[str, Tensor],
        rates: Mapping[str, Sequence[tuple[float, float]]],
        state: Mapping[str, Tensor] | None = None,
    ):
        self.optimizer, self.parameters = optimizer, dict(parameters)
        self.moments = {
            kind: {n: state[f"{kind}.{n}"] if state else torch.zeros_like(p) for n, p in self.parameters.items()}
            for kind in self.kinds(optimizer)
        }
        self.set_rates(rates)

    @staticmethod
    def kinds(optimizer: Optimizer) -> tuple[str, ...]:
        """Names of the tensors that the optimizer keeps per parameter."""
        slow = () if optimizer.grokfast is None else ("grokfast",)  # last: the kernels take the others by their place
        if optimizer.name == "sgd":
            return (*(("momentum",) if optimizer.momentum else ()), *slow)
        return ("exp_avg", "exp_avg_sq", *slow)

    def state(self) -> dict[str, Tensor]:
        """The moments by ``"<moment>.<parameter>"``, each stacked ``[member, ...]``."""
        return {f"{kind}.{n}": t for kind, tensors in self.moments.items() for n, t in tensors.items()}

    def set_rates(self, rates: Mapping[str, Sequence[tuple[float, float]]]) -> None:
        """Give every member its learning rate and weight decay, per parameter."""
        self.rates = {n: tuple(rates[n]) for n in self.parameters}
        runs: dict[tuple[float, float], list[tuple[str, slice | None]]] = {}
        for name, own in self.rates.items():
            start = 0
            for stop in range(1, len(own) + 1):
                if stop == len(own) or own[stop] != own[start] or self._leaves_a_rest(name):
                    whole = start == 0 and stop == len(own)
                    runs.setdefault(own[start], []).append((name, None if whole else slice(start, stop)))
                    start = stop
        device = next(iter(self.parameters.values())).device.type
        self.fused = device == "cpu" or len(runs) <= MAX_RUNS_ON_GPU
        self._sliced: tuple[Mapping[str, Tensor], list[list[Tensor]]] | None = None
        # views into the stacks, made once
        self._runs = [
            (rate, places, *([_part(tensors[n], at) for n, at in places] for tensors in self._tensors()))
            for rate, places in runs.items()
        ]
        self._columns = {
            name: tuple(
                torch.tensor(column, dtype=p.dtype, device=p.device).view(-1, *[1] * (p.ndim - 1))
                for column in zip(*self.rates[name], strict=True)
            )
            for name, p in self.parameters.items()
        }

    def _leaves_a_rest(self, name: str) -> bool:
        """Whether a CPU's kernel must take a parameter member by member, to round each as it would alone."""
        # numbers that are left over after the last whole vector are rounded otherwise than those within vectors
        parameter = self.parameters[name]
        return parameter.device.type == "cpu" and parameter[0].numel() % VECTOR > 0

    def _tensors(self) -> list[dict[str, Tensor]]:
        return [{n: p.detach() for n, p in self.parameters.items()}, *self.moments.values()]

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor], count: int, scale: float = 1.0) -> None:
        """Update every member.

        Args:
            gradients: by parameter name, ``[member, ...]``; they may be overwritten.
            count: number of this step, from 1.
            scale: the learning rates are multiplied by it (warm-up).
        """
        if count % FLUSH == 0 and self.optimizer.eps >= SMALLEST_EPS:
            for moment in self.moments.values():
                for tensor in moment.values():
                    tensor.copy_(without_subnormals(tensor))
        if not self.fused:
            for name in self.parameters:
                self._broadcast_step(name, gradients[name], count, scale)
            return
        device = next(iter(gradients.values())).device
        steps = torch.full((), float(count), device=device)  # no copy from the host
        parts = self._parts(gradients)
        for ((lr, weight_decay), _, parameters, *moments), own in zip(self._runs, parts, strict=True):
            self._fused_step(parameters, own, moments, steps, lr * scale, weight_decay)

    def _parts(self, gradients: Mapping[str, Tensor]) -> list[list[Tensor]]:
        """The gradients of each run of equal rates; where they are views of the same memory as before, those are used again."""
        if self._sliced is not None and self._sliced[0] is gradients:
            return self._sliced[1]
        # the fused kernels read memory in order, whatever the strides: autograd.grad may hand out transposed gradients
        whole = {n: g.contiguous() for n, g in gradients.items()}
        parts = [[_part(whole[n], at) for n, at in places] for _, places, *_ in self._runs]
        if all(whole[n] is g for n, g in gradients.items()):  # copies would go stale
            self._sliced = gradients, parts
        return parts

    def _fused_step(
        self, parameters: list[Tensor], gradients: list[Tensor], moments: list[list[Tensor]], steps: Tensor,
        lr: float, weight_decay: float,
    ) -> None:  # fmt: skip
        o = self.optimizer
        if o.name == "sgd":
            torch._fused_sgd_(
                parameters, gradients, moments[0] if o.momentum else [], weight_decay=weight_decay, momentum=o.momentum,
                lr=lr, dampening=0.0, nesterov=o.nesterov, maximize=False, is_first_step=False,
            )  # fmt: skip
            return
        update = torch._fused_adamw_ if o.name == "adamw" else torch._fused_adam_
        update(
            parameters, gradients, moments[0], moments[1], [], [steps] * len(parameters), lr=lr, beta1=o.betas[0],
            beta2=o.betas[1], weight_decay=weight_decay, eps=o.eps, amsgrad=False, maximize=False,
        )  # fmt: skip

    def _broadcast_step(self, name: str, gradient: Tensor, count: int, scale: float) -> None:
        o, parameter = self.optimizer, self.parameters[name].detach()
        lr, weight_decay = self._columns[name]
        lr = lr * scale
        if o.name == "adamw":
            parameter.mul_(1 - lr * weight_decay)
        else:
            gradient = gradient + weight_decay * parameter
        if o.name == "sgd":
            if o.momentum:
                buffer = self.moments["momentum"][name].mul_(o.momentum).add_(gradient)
                gradient = gradient.add(buffer, alpha=o.momentum) if o.nesterov else buffer
            parameter.sub_(lr * gradient)
            return
        mean, square = self.moments["exp_avg"][name], self.moments["exp_avg_sq"][name]
        mean.lerp_(gradient, 1 - o.betas[0])
        square.mul_(o.betas[1]).addcmul_(gradient, gradient, value=1 - o.betas[1])
        denominator = (square.sqrt() / (1 - o.betas[1] ** count) ** 0.5).add_(o.eps)
        parameter.sub_(lr / (1 - o.betas[0] ** count) * (mean / denominator))


def _pair_of_rates(given: Any) -> tuple[float, float]:
    """The two numbers of Grokfast."""
    pair = tuple(given) if isinstance(given, (tuple, list)) else ()
    if len(pair) != 2 or not all(fits(v, float) for v in pair) or not (0 <= pair[0] < 1 and pair[1] >= 0):
        raise InterpError(
            f"grokfast must be two numbers, alpha in [0, 1) and lamb of at least 0, such as (0.98, 2.0), got {given!r}"
        )
    return pair


def _part(tensor: Tensor, at: slice | None) -> Tensor:
    return tensor if at is None else tensor[at]
