"""The analysis `decoder_plane`: what the decoder answers over the plane of two-dimensional embeddings."""

from __future__ import annotations

import plotly.graph_objects as go

from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject
from probes.decoder_plane import DecoderPlane
from probes.decoder_plane import decoder_plane as measured

LABELLED = 120  # midpoints that are labelled


@analysis(
    "decoder_plane",
    needs=("task", "answers"),
    order=33,
    question="represents",
    summary="The decoder's answers over the plane of two-dimensional embeddings",
)
def decoder_plane(subject: Subject, *, resolution: int = 160, margin: float = 0.1) -> Result:
    """The answer at every point of the plane, with the embeddings and the midpoints at which pairs are answered.

    Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning,
    https://arxiv.org/abs/2205.10343, figure 2. The network adds embeddings: the answer at z is that to 2 z.

    Args:
        subject: an MLP that adds embeddings of two dimensions, and its task.
        resolution: points of the grid in each direction.
        margin: by which the grid goes beyond the embeddings, as a share of their range.

    Returns:
        The figure, and how many midpoints are answered right.

    Raises:
        MissingCapability: another kind of network or task.
    """
    plane = measured(subject, resolution=resolution, margin=margin)
    right, trained = plane.right, plane.trained
    test = int((right & ~trained).sum())
    result = Result(
        {
            "answers_on_the_plane": int(plane.answers.unique().numel()), "right": int(right.sum()), "samples": len(right),
            "right_in_train": int((right & trained).sum()), "train_samples": int(trained.sum()), "right_in_test": test,
        }
    )  # fmt: skip
    result.figures["plane"] = plane_figure(plane)
    result.lead = "plane"
    result.headline = (
        f"the plane shows {result.metrics['answers_on_the_plane']} answers; {test} of {int((~trained).sum())} test midpoints "
        f"and {result.metrics['right_in_train']} of {int(trained.sum())} train midpoints lie where theirs is given"
    )
    return result


def plane_figure(plane: DecoderPlane, title: str = "The decoder over the plane of embeddings") -> go.Figure:
    """A colour per answer, the embeddings with their numbers, the midpoints of pairs with their right answers.

    Args:
        plane: from `probes.decoder_plane.decoder_plane`.
        title: of the figure.

    Returns:
        The figure; open midpoints are of test pairs, crosses are answered wrong.
    """
    picture = figures.heatmap(
        plane.answers.numpy(), x=plane.x.numpy(), y=plane.y.numpy(), title=title, x_title="dimension 0", y_title="dimension 1",
        unit="answer", height=520,
    )  # fmt: skip
    picture.update_traces(colorscale="Phase", opacity=0.55)
    for name, chosen in (("train pair", plane.trained), ("test pair", ~plane.trained)):
        marks = [
            "x" if not ok else "circle" if name[:2] == "tr" else "circle-open" for ok in plane.right[chosen].tolist()
        ]
        points, labels = plane.midpoints[chosen], [str(c) for c in plane.labels[chosen].tolist()]
        picture.add_scatter(
            x=points[:, 0].numpy(), y=points[:, 1].numpy(), mode="markers+text" if len(plane.right) <= LABELLED else "markers",
            text=labels, textposition="top center", textfont={"size": 8}, name=name,
            marker={"symbol": marks, "size": 5, "color": "black"},
        )  # fmt: skip
    own = plane.embeddings.numpy()
    picture.add_scatter(
        x=own[:, 0], y=own[:, 1], mode="markers+text", text=[str(k) for k in range(len(own))], name="embedding",
        textfont={"color": "white", "size": 10}, marker={"size": 18, "color": figures.BLUE},
    )  # fmt: skip
    return picture.update_layout(legend={"orientation": "h", "y": -0.2})
