"""Layout of an evolved network's graph: where its nodes stand."""

from __future__ import annotations

from interp.picbreeder import Graph

GAP = 1.5  # between nodes of a layer; a picture is 0.8 wide

Places = dict[str, tuple[float, float]]


def positions(graph: Graph) -> Places:
    """Coordinates of the nodes: y is the layer; along it every node is near the mean of its sources, `GAP` apart or more.

    Args:
        graph: the genome.

    Returns:
        ``(x, y)`` by node id, in units of layers.
    """
    layers: dict[int, list[str]] = {}
    for node in graph.nodes:
        layers.setdefault(graph.depths[node.id], []).append(node.id)
    widest = max(map(len, layers.values()))
    places: Places = {}
    for depth in sorted(layers):
        own = layers[depth]
        if depth == 0:
            wanted = {node: (i - (len(own) - 1) / 2) * GAP * max(1.0, widest / len(own)) for i, node in enumerate(own)}
        else:
            means = {n: [places[s][0] for s in graph.incoming[n] if s in places] for n in own}  # not those of a cycle
            wanted = {n: sum(found) / len(found) if found else 0.0 for n, found in means.items()}
        places |= {node: (x, float(depth)) for node, x in _spread(wanted).items()}
    return places


def _spread(wanted: dict[str, float]) -> dict[str, float]:
    """Places in the order of the wanted ones, `GAP` apart or more, with the same mean."""
    ordered = sorted(wanted, key=lambda n: wanted[n])
    xs: list[float] = []
    for node in ordered:
        xs.append(max(wanted[node], xs[-1] + GAP if xs else -1e9))
    shift = sum(wanted[n] - x for n, x in zip(ordered, xs, strict=True)) / len(xs)
    return {n: x + shift for n, x in zip(ordered, xs, strict=True)}
