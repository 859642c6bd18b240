"""Numbers as they stand in a text: a decimal is as precise as its last digit."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

SLACK = 4e-16  # of the number: a limit is rounded itself


class Written(float):
    """A decimal number that remembers how it was written.

    Attributes:
        text: the number as it stands in the file.
    """

    text: str

    def __new__(cls, text: str) -> Written:
        """Read a number; ``tomllib`` and ``json`` call this for every decimal."""
        made = super().__new__(cls, text)
        made.text = text
        return made

    @property
    def half_of_last_digit(self) -> float:
        """How far a number may be away that rounds to this one.

        >>> Written("0.238").half_of_last_digit, Written("9.2025e-09").half_of_last_digit
        (0.0005, 5e-14)
        """
        try:
            exponent = Decimal(self.text.replace("_", "")).as_tuple().exponent
            return float(Decimal(5).scaleb(exponent - 1)) if isinstance(exponent, int) else 0.0
        except InvalidOperation:  # digits that no float has
            return 0.0

    def __repr__(self) -> str:
        return self.text
