"""Tasks on pairs of symbols with one correct answer."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import TaskMismatch
from interp.hooked import HookedModel
from interp.hooked.config import Config
from interp.hooked.mlp.config import MLPConfig
from interp.hooked.rnn.config import RNNConfig
from interp.hooked.transformer.config import TransformerConfig
from interp.tasks.base import Task
from interp.tasks.cyclic import CyclicStructure
from interp.tasks.factors import Factors
from interp.tasks.forms import as_tokens, as_vectors, form_for, items_of, token_of
from interp.tasks.pair_factors import frequencies, representations
from interp.tasks.pair_symmetry import Move, symmetry_of_pairs, translations
from interp.tasks.splits import split_of
from interp.tasks.symmetry import Symmetry

USUAL = {"form": "", "encoding": "tokens", "n_train": None}


T = TypeVar("T", bound="BinaryOperation")


@dataclass(frozen=True)
class _Asked(Generic[T]):
    """A task as a kind of model takes it, and the model's tokens and outputs."""

    task: T
    vocabulary: int
    outputs: int
    problems: list[str]


class BinaryOperation(Task):
    """A task on pairs of symbols (a, b) with one correct answer, read from one row of logits.

    The inputs are all pairs for which the operation is defined, in row-major order: a finite table. A transformer sees
    ``(a, b, =)``, where ``=`` is the token after the last symbol, and is read at the last position; an MLP sees
    ``(a, b)``. The answer is read from the first ``n_outputs`` logits.

    Attributes:
        train_fraction: share of the pairs that are trained on; the first ``int(train_fraction * n)`` after shuffling.
        seed: of the shuffle.
        split: ``"python"`` (``random.seed(seed); random.shuffle``), ``"torch"`` (``torch.manual_seed(seed);
            torch.randperm``) or ``"numpy"`` (``np.random.seed(seed); np.random.permutation``), over the row-major pairs;
            ``"first"``: the first rows train. Or the indices of the pairs that train, as some files list them.
        equals_token: whether the inputs end in ``=``. `fit` sets it to what the model takes.
        form: what stands where: ``a`` and ``b``, ``=`` (the token after the last symbol), ``op`` (the one after that) and
            numbers of other tokens, such as ``"a op b ="`` or ``"b a"``. By default ``"a b ="`` for a transformer and
            ``"a b"`` for an MLP.
        encoding: ``"tokens"``; for networks that take vectors ``"one_hot"``, both operands side by side, or ``"sum"``, their
            one-hot vectors added. `fit` sets it to what the width of the model's vectors tells.
        n_train: number of pairs that are trained on, instead of ``train_fraction``.
    """

    LOSSES: ClassVar[tuple[str, ...]] = ("cross_entropy", "mse", "vectors")
    complete: ClassVar[bool] = True

    HELP: ClassVar[dict[str, str]] = {
        **Task.HELP,
        "train_fraction": "share of the pairs that are trained on",
        "seed": "seed of the split into train and test",
        "split": "how the pairs are shuffled: python (random.shuffle), torch (torch.randperm), numpy; first: not",
        "form": "what stands where, such as 'a op b =' or 'b a'; by default 'a b =', for MLPs 'a b'",
        "encoding": "inputs as tokens, one_hot (side by side) or sum (one-hot, added); set by the model",
        "n_train": "pairs that are trained on, instead of a share",
        "equals_token": "whether the inputs end in the token =; set by the model",
    }

    train_fraction: float
    split: str | tuple[int, ...]
    equals_token: bool
    form: str = ""
    encoding: str = "tokens"
    n_train: int | None = None

    @property
    @abstractmethod
    def n_symbols(self) -> int:
        """Number of operand symbols, and the token of ``=``."""

    @property
    @override
    def n_outputs(self) -> int:
        """Number of possible answers."""
        return self.n_symbols

    @cached_property
    def pairs(self) -> Tensor:
        """All pairs for which the operation is defined ``[n, 2]``, row-major."""
        return self.make_pairs()

    @abstractmethod
    def make_pairs(self) -> Tensor:
        """The pairs, computed once for `pairs`."""

    @override
    def make_inputs(self) -> Tensor:
        """The whole input table: tokens ``[n, 3]`` or, without ``=``, ``[n, 2]``, or as ``form`` and ``encoding`` say."""
        if self.encoding == "tokens":
            return as_tokens(self.pairs, self.items, self.n_symbols)
        return as_vectors(self.pairs, self.items, self.n_symbols, self.encoding)

    @property
    def items(self) -> list[str]:
        """What stands where in an input, such as ``["a", "b", "="]``."""
        return items_of(self.form, self.equals_token and self.encoding == "tokens")

    @property
    @override
    def notes(self) -> tuple[str, ...]:
        """What another form than the usual one consists of."""
        if not self.form or self.encoding != "tokens":
            return ()
        tokens = {i: t for i in self.items if (t := token_of(i, self.n_symbols)) is not None and not i.isdecimal()}
        named = ", ".join(f"{word} is token {token}" for word, token in tokens.items())
        return (f"the network reads {self.form!r}{' where ' if named else ''}{named} (form= in the task changes it)",)

    @property
    def readout(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The position that is read, or None for a model without positions."""
        return -1 if self.equals_token and self.encoding == "tokens" else None

    @override
    def make_split(self) -> tuple[Tensor, Tensor]:
        n = len(self.labels)
        n_train = int(self.train_fraction * n) if self.n_train is None else self.n_train
        return split_of(self.split, n, self.seed, n_train)

    @override
    def _shapes(self) -> dict[str, dict[str, Any]]:
        if self.encoding != "tokens":
            return {"mlp": {"d_in": self.inputs.shape[1], "d_out": self.width}}
        sequence = items_of(self.form, True)
        return {
            "transformer": {
                "d_vocab": self._vocabulary(sequence, 0),
                "d_vocab_out": self.width,
                "n_ctx": len(sequence),
            },
            "mlp": {"d_vocab": self._vocabulary(items_of(self.form, False), 0), "d_out": self.width},
            "rnn": {"d_vocab": self.n_symbols, "d_out": self.width, "read": "last"},
        }

    def _vocabulary(self, items: list[str], spare: int) -> int:
        """How many tokens inputs of these items need, at least the symbols and some spare ones."""
        return max([self.n_symbols + spare, *(t + 1 for i in items if (t := token_of(i, self.n_symbols)) is not None)])

    @override
    def fit(self, model: HookedModel) -> Self:
        """The task in the form that ``model`` takes: with ``=`` for a transformer, without for an MLP, as vectors for one.

        A recurrent network that is read at each step also reads ``=`` and answers there.

        Args:
            model: a transformer, an MLP or a recurrent network; a wrapped module shows only when it runs whether it fits.

        Returns:
            The task.

        Raises:
            TaskMismatch: the model has too few tokens, positions or outputs.
        """
        config = model.config
        if config.kind == "wrapped":
            return self
        if isinstance(config, MLPConfig) and config.d_vocab is None:
            return self._as_vectors(model, config.d_in or 0)
        asked = self._asked_by(config)
        needed, problems = asked.task._vocabulary(asked.task.items, 0), list(asked.problems)
        # one spare token is common ("=" in an unused row); anything else means another modulus
        if asked.task.encoding != "tokens":
            problems.append(f"the model takes tokens, the task gives vectors (encoding={asked.task.encoding})")
        if not needed <= asked.vocabulary <= max(needed, self.n_symbols + 1):
            problems.append(f"the model embeds {asked.vocabulary} tokens, the task has {needed}")
        spare = max(1, needed - self.n_symbols) if self.criterion.logits else 0  # people keep one output a token
        if not self.width <= asked.outputs <= self.width + spare:
            wanted = f"{self.n_outputs} answers" if self.criterion.logits else f"vectors of {self.width}"
            problems.append(f"the model has {asked.outputs} outputs, the task has {wanted}")
        self._mismatch(problems)
        return asked.task

    def _asked_by(self, config: Config) -> _Asked[Self]:
        """The task in the form that a kind of model takes, and what speaks against it."""
        if isinstance(config, TransformerConfig):
            form = self.form or form_for(self.n_symbols, config.d_vocab, config.n_ctx)
            task = self._with(equals_token=True, form=form)
            return _Asked(task, config.d_vocab, config.d_vocab_out, task._too_short(config.n_ctx))
        if isinstance(config, MLPConfig):
            task, has = self._with(equals_token=False), config.n_operands
            odd = [f"the model takes {has} operands, the task has {len(task.items)}"] if has != len(task.items) else []
            return _Asked(task, config.d_vocab or 0, config.d_out, odd)
        if isinstance(config, RNNConfig):
            if config.d_vocab is None:
                raise TaskMismatch(f"{self}: the model takes vectors of {config.d_in}, the task gives tokens")
            task = self._with(equals_token=config.read == "each")
            odd = [] if config.n_ctx is None else task._too_short(config.n_ctx)
            if not task.equals_token and config.d_vocab > self.n_symbols:
                odd.append(
                    "the model has a token for = and is read at its last step; with read='each' (--layout recurrent:read=each) "
                    "it reads a, b, = and answers at ="
                )
            return _Asked(task, config.d_vocab, config.d_out or config.width_state, odd)
        raise TaskMismatch(f"{self}: cannot be given to a model of kind {config.kind!r}")

    def _too_short(self, n_ctx: int) -> list[str]:
        """What to say of a context that is shorter than the inputs."""
        items = self.items
        said = f"the model's context is {n_ctx} positions, the task has {len(items)} ({', '.join(items)})"
        return [said] if n_ctx < len(items) else []

    def _with(self, **changed: Any) -> Self:
        return replace(self, **changed)  # pyright: ignore[reportArgumentType] every subclass is a dataclass

    def _as_vectors(self, model: HookedModel, width: int) -> Self:
        """The task for an MLP that takes vectors, whose width tells how the operands are encoded."""
        n = self.n_symbols
        told = {2 * n: "one_hot", n: "sum"}.get(width)
        if self.encoding == "tokens" and told is None:
            raise TaskMismatch(
                f"{self}: the model takes vectors of {width}, the task gives tokens, or vectors of {2 * n} (encoding=one_hot) "
                f"or {n} (encoding=sum)"
            )
        changed = {"encoding": told} if self.encoding == "tokens" else {}
        task = self._with(equals_token=False, **changed)
        task._fit_vectors(model, task.inputs.shape[1])
        return task

    @override
    def make_symmetry(self) -> Symmetry | str:
        """The group of `moves`; of a task that is addition modulo n, the translations of both operands."""
        if reason := self._no_logits():
            return f"{self.name}: {reason}"
        structure = self.cyclic()
        if isinstance(structure, CyclicStructure):
            n = structure.order
            name, moves = f"translations of Z_{n} x Z_{n}", translations(structure)
        else:
            name, moves = self.moves()
        return symmetry_of_pairs(name, self.pairs, self.labels, moves) or super().make_symmetry()

    def moves(self) -> tuple[str, list[Move]]:
        """Candidates for its symmetry, and what to call the group that they generate: by default a swap of the operands."""
        symbols = torch.arange(self.n_symbols)
        return "swap of the operands", [Move(symbols, symbols, torch.arange(self.n_outputs), swap=True)]

    @override
    def make_factors(self) -> Factors | str:
        cyclic, group = self.cyclic(), self.group()
        if isinstance(cyclic, CyclicStructure):
            return frequencies(cyclic, self.pairs)
        return group if isinstance(group, str) else representations(group, self.pairs)

    @classmethod
    @override
    def option_names(cls) -> list[str]:
        return [name for name in cls.field_names() if name != "equals_token"]

    @override
    def spec_options(self) -> dict[str, Any]:
        options = super().spec_options()
        if isinstance(self.split, (tuple, list)):
            options["split"] = f"<{len(self.split)} listed>"
        usual = {"loss": self.LOSSES[0], **USUAL}  # written only if they are not the default
        return {name: value for name, value in options.items() if name not in usual or value != usual[name]}

    def _no_logits(self) -> str | None:
        """Why the outputs have no Fourier modes over the answers, if that is due to the loss."""
        return (
            None if self.criterion.logits else f"its outputs under the loss {self.loss!r} are not one score per answer"
        )
