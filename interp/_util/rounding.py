"""Products that are rounded alike wherever their matrices lie in memory.

On some CPUs (AMD's EPYC 9005 among them) MKL rounds a product by where its operands begin, so that a network has other bits
alone than among others. Its conditional numerical reproducibility puts an end to that, at no cost that we could measure; it
is read from the environment when torch is imported
(https://www.intel.com/content/www/us/en/docs/onemkl/developer-guide-linux/2024-2/set-env-var-for-cond-numerical-reproducibility.html).
"""

from __future__ import annotations

import os
import sys


def round_alike() -> None:
    """Ask MKL for it, unless torch is imported already or the user has set ``MKL_CBWR``."""
    if "torch" not in sys.modules:
        os.environ.setdefault("MKL_CBWR", "AUTO")
