"""Two networks on the same inputs: what one has that the other uses, by intervention.

Activations of one go into the other (stitching, interchange), features of both are matched and ablated, and what similarity
says stands beside what these say.
"""

from __future__ import annotations
