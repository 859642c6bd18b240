"""What names of layers say about their order: some speak against a chain, some give a layer its place in one."""

from __future__ import annotations

import re
from collections.abc import Sequence

# by what they speak of; matched against the words of a name, in lower case
AGAINST: dict[str, re.Pattern[str]] = {
    "a recurrent connection": re.compile(
        r"h2h|hh|w?[xih]h|u?hh|hid(den)?2hid(den)?|hidden to hidden|h to h|i2h|h2o|x2h|in2hid|input to hidden|hidden to output|"
        r"recurr\w*|rnn\w*|gru\w*|lstm\w*|cell|memory|state|context"
    ),
    "heads": re.compile(
        r"actor|critic|policy|values?|vf|pi|advantages?|mu|mean|log ?var|log ?std|sigma|q1|q2|heads|aux\w*|duel\w*|bbox"
    ),
    "a shortcut": re.compile(r"shortcuts?|skip|resid(ual)?|downsample|highway|bypass|identity"),
    "attention": re.compile(r"attn|attention|quer(y|ies)|keys?|q proj|k proj|v proj|qkv|in proj|w?[qkvo]"),
    "a low-rank update": re.compile(r"lora"),
    "a gate": re.compile(r"gates?|gate proj|up proj|down proj|glu"),
    "a graph convolution": re.compile(r"convs?|gconvs?|gc|gcn\w*|gat\w*|gin\w*|sage\w*|graph\w*"),
    "an integral over time": re.compile(r"ode|ode ?func|ode ?nets?|ode ?blocks?|neural ?odes?"),
    "a sparse autoencoder": re.compile(r"w enc|w dec"),
    "several networks": re.compile(
        r"discriminator|teacher|student|online|target|branch\w*|towers?|left|right|ensemble|experts?|forwards?|backwards?"
    ),
}
# these are not stripped with what all names begin with: it is the kind of network that they name
OF_THE_WHOLE = {"a graph convolution", "an integral over time"}
SETS = ({"phi", "rho"},)  # networks with a sum over a set between them
FIRST = re.compile(r"in|inp|input|enter|first|stem|from|encode[r]?|emb\w*|wte|lift")
MIDDLE = re.compile(r"hidden|hid|middle|mid|inner")
LAST = re.compile(
    r"out|output|leave|last|final|head|readout|logits?|classifier|unembed\w*|generator|decode[r]?|proj\w*|cls|predict\w*"
)


def words_of(name: str) -> str:
    """A layer's name in lower-case words.

    Args:
        name: such as ``block1.W_hh`` or ``hiddenToHidden``.

    Returns:
        The words, with spaces between them.

    >>> words_of("hiddenToHidden.linear_2"), words_of("cell/W_hh")
    ('hidden to hidden linear 2', 'cell w hh')
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name)
    return " ".join(re.findall(r"[a-z0-9]+", spaced.lower()))


def speaks_against(names: Sequence[str]) -> str | None:
    """Why layers of these names are not a chain.

    Args:
        names: of the layers; what they all begin with (``critic.0``, ``critic.2``) names the network and says nothing.

    Returns:
        Such as "h2h speaks of a recurrent connection"; None if no name speaks against a chain.

    >>> speaks_against(["i2h", "h2h", "out"])
    'i2h speaks of a recurrent connection'
    >>> speaks_against(["critic.0", "critic.2"]), speaks_against(["fc1", "fc2"])
    (None, None)
    """
    common = _shared(names)
    for name in names:
        own, whole = words_of(name[len(common) :]), words_of(name)
        for kind, word in AGAINST.items():
            if re.search(rf"(?<![a-z0-9])(?:{word.pattern})(?![a-z])", whole if kind in OF_THE_WHOLE else own):
                return f"{name} speaks of {kind}"
    words = {w for n in names for w in words_of(n).split()}
    if pair := next((p for p in SETS if p <= words), None):
        return f"{' and '.join(sorted(pair))} speak of a sum over a set"
    heads = [n for n in names if re.search(r"(?<![a-z])head(?![a-z])", words_of(n[len(common) :]))]
    return f"{' and '.join(heads[:2])} speak of several heads" if len(heads) > 1 else None


def _shared(names: Sequence[str]) -> str:
    """What all names begin with, up to a dot or a slash."""
    parts = [re.split(r"(?<=[./])", name)[:-1] for name in names]
    shared = [p[0] for p in zip(*parts, strict=False)] if len(names) > 1 else []
    alike = next((i for i in range(len(shared)) if len({tuple(p[: i + 1]) for p in parts}) > 1), len(shared))
    return "".join(shared[:alike])


def has_a_place(name: str) -> bool:
    """Whether a name says where in a chain its layer stands: by a number (``fc2``), or as first, middle or last.

    Args:
        name: of a layer.

    Returns:
        False for names such as ``a`` or ``transform``.

    >>> [has_a_place(n) for n in ("net.2", "hidden", "W_out", "transform")]
    [True, True, True, False]
    """
    said = words_of(name).split()
    return any(c.isdigit() for c in name) or any(p.fullmatch(w) for w in said for p in (FIRST, MIDDLE, LAST))


def returning_block(names: Sequence[str], widths: Sequence[tuple[int, int]]) -> str | None:
    """A numbered block of several layers that ends on the width it began with, so that it may be added to what it reads.

    Args:
        names: of the layers, first to last.
        widths: of their inputs and outputs.

    Returns:
        The block's name and widths, such as "blocks.0 (8 > 16 > 8)"; None where there is none.

    >>> returning_block(["inp", "blocks.0.a", "blocks.0.b", "out"], [(5, 8), (8, 16), (16, 8), (8, 3)])
    'blocks.0 (8 > 16 > 8)'
    >>> returning_block(["net.0", "net.2", "net.4"], [(8, 16), (16, 8), (8, 16)]) is None
    True
    """
    blocks: dict[str, list[tuple[int, int]]] = {}
    for name, width in zip(names, widths, strict=True):
        if numbered := re.match(r"(.*?\b[A-Za-z_]\w*[./]\d+)[./]", name):
            blocks.setdefault(numbered[1], []).append(width)
    for block, held in blocks.items():
        if len(held) > 1 and held[0][0] == held[-1][1]:
            return f"{block} ({' > '.join(map(str, [held[0][0], *(out for _, out in held)]))})"
    return None
