"""Figures of a network by one call each: what to look at first in a notebook. Each returns a plotly figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp._util.door import lazy_exports

if TYPE_CHECKING:
    from probes.plots.attention_patterns import attention as attention
    from probes.plots.frequency_panels import frequencies as frequencies
    from probes.plots.logit_parts import logit_attribution as logit_attribution
    from probes.plots.slider import over_checkpoints as over_checkpoints
    from probes.plots.unit_maps import unit as unit
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
