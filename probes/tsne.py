"""t-SNE of a cloud of points."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor

from interp.errors import InterpError
from probes._tensors import as_table
from probes.exact_tsne import exact_tsne

ITERATIONS = (
    500  # half of scikit-learn's: on clouds of hidden activations the divergence stays within 2% of that after all
)
PAIRS = (
    500  # points up to which all pairs are summed: faster than scikit-learn's sums over cells, and as good a picture
)
MANY = 5000  # points from which on several threads are used
FAR = 1000  # of a cloud from 0, in units of its size
FEWEST = 5  # points; t-SNE's perplexity must be below their number


def tsne(points: Float[Tensor, "n dim"], perplexity: float = 30.0, seed: int = 0) -> Float[Tensor, "n 2"]:
    """t-SNE in two dimensions, initialised with PCA: over all pairs of up to 500 points, of more by scikit-learn.

    van der Maaten and Hinton 2008, Visualizing Data using t-SNE, https://jmlr.org/papers/v9/vandermaaten08a.html. It
    preserves neighbourhoods; distances between clusters and their sizes carry no information.

    Args:
        points: ``[n, dim]``.
        perplexity: effective number of neighbours, at least 1 and below the number of points.
        seed: of scikit-learn's random state; with all pairs nothing is random.

    Returns:
        ``[n, 2]`` in float64, on the CPU; zeros if all points coincide.

    Raises:
        InterpError: not a table, fewer than five points, a perplexity out of range, or NaN or infinity in it.
    """
    points = as_table(points, "points")
    if len(points) < FEWEST:
        raise InterpError(f"t-SNE needs at least {FEWEST} points, got {len(points)}")
    if not 1 <= perplexity < len(points):
        raise InterpError(
            f"perplexity must be at least 1 and below the number of points, {len(points)}; got {perplexity}"
        )
    values = points.detach().double().cpu()
    if not bool(values.isfinite().all()):
        raise InterpError("the points hold NaN or infinity, so that they have no neighbours")
    if not bool((values != values[0]).any()):
        return torch.zeros(len(points), 2, dtype=torch.float64)
    # threads meet many times in each iteration: for some hundred points two take up to five times the CPU time of one
    with threadpool_limits(1 if len(values) < MANY else None):
        if len(values) <= PAIRS:
            centred = values - values.mean(0)
            far = values.abs().amax() > FAR * centred.abs().amax()  # a mean far from 0 would take the bits that matter
            # rounding in the last bits does not grow into another picture
            coarse = (centred if bool(far) else values).float().double()
            return exact_tsne(coarse, perplexity, ITERATIONS)
        from sklearn.manifold import TSNE

        if values.shape[1] == 1:  # its first two principal components are asked for
            values = F.pad(values, (0, 1))
        own = TSNE(perplexity=perplexity, init="pca", random_state=seed, max_iter=ITERATIONS)
        return torch.as_tensor(own.fit_transform(values.numpy())).double()
