"""What a metric is: a number per input, of the outputs of changed networks."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from circuits.answers import Answers

# columns of the experiments' tables that no metric may be called
RESERVED = frozenset({
    "baseline", "change", "changed", "clean", "component", "correct", "corrupted", "effect", "head", "index", "operand",
    "patched", "patched_recovered", "pos", "query", "recovered", "site", "unit",
})  # fmt: skip


class Metric(ABC):
    """A number per input, of outputs ``[k, n, ...]``; the leading axis is k changed networks.

    Another package registers its own as an entry point in the group ``interp.metrics``: a Metric, or a subclass that is made
    without arguments, under the metric's ``name``. Every experiment then takes it by that name.

    Attributes:
        name: of the metric, and of its column in every table.
        higher_is_better: whether a higher value is better; None if neither is.
        whole: whether all inputs must be judged together.
    """

    name: str
    higher_is_better: bool | None = True
    whole = False

    @property
    def everywhere(self) -> bool:
        """Whether outputs at every position are needed: a function of outputs may read any."""
        return self.whole or self.higher_is_better is None

    @abstractmethod
    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        """The metric's value per changed network and input.

        Args:
            outputs: of the inputs in ``rows``, ``[k, n, ...]``.
            rows: which of the experiment's inputs these are; indexes the tensors of ``answers``.
            answers: what is known about all inputs.

        Returns:
            float64 ``[k, n]``.

        Raises:
            MissingCapability: it needs correct answers that are not known.
            InterpError: outputs that it cannot judge.
        """

    @property
    def sign(self) -> str:
        """What the sign of its change means, in words."""
        if self.higher_is_better is None:
            return f"{self.name}_change = changed minus clean"
        meaning = "negative" if self.higher_is_better else "positive"
        return f"{self.name}_change = changed minus clean: {meaning} means that the changed part was needed"
