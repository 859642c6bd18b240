"""How small a network may be made: what counts as enough, and the smallest size that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from circuits.bisection import largest
from interp.scores import Scores


@dataclass(frozen=True)
class Goal:
    """What a reduced network must keep.

    Attributes:
        whole: scores of the whole network.
        nothing: scores of the network without what is reduced.
        share: of the accuracy that must be left; of a regression, of the fall of the loss from ``nothing`` to ``whole``.
    """

    whole: Scores
    nothing: Scores
    share: float

    def enough(self, found: Scores) -> bool:
        """Whether the share is left."""
        if found.accuracy is not None and self.whole.accuracy is not None:
            return found.accuracy >= self.share * self.whole.accuracy
        return self.nothing.loss - found.loss >= self.share * (self.nothing.loss - self.whole.loss)

    def nothing_lost(self, found: Scores) -> bool:
        """Whether a larger network would not look different in a curve."""
        right = found.accuracy is None or found.accuracy >= (self.whole.accuracy or 0.0)
        return right and found.loss - self.whole.loss <= 1e-3 * (self.nothing.loss - self.whole.loss)

    def fewest(self, score: Callable[[int], Scores], known: dict[int, Scores]) -> int:
        """The smallest size that is enough, by bisection below the smallest of those known.

        Args:
            score: runs the network at a size.
            known: scores by size, one of them enough; further ones are added.

        Returns:
            the size.
        """
        high = min(n for n in known if self.enough(known[n]))
        low = max((n for n in known if n < high), default=high - 1)

        def too_small(offset: int) -> bool:
            size = low + offset
            known[size] = score(size)
            return not self.enough(known[size])

        return low + 1 + largest(high - low - 1, too_small)

    @property
    def metrics(self) -> list[str]:
        """What can be measured: ``accuracy`` (where answers are right or wrong) and ``loss``."""
        return ["loss"] if self.whole.accuracy is None else ["accuracy", "loss"]

    def __str__(self) -> str:
        return f"{self.share:.4g} of the " + ("fall of the loss" if self.whole.accuracy is None else "accuracy")
