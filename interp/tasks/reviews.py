"""Movie reviews, positive or negative, as words for a recurrent network."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError
from interp.hooked import HookedModel
from interp.tasks.base import Task
from interp.tasks.checks import check_common, require_count, text_field
from interp.tasks.files import FileKey, file_key
from interp.tasks.review_files import Column, read_reviews
from interp.tasks.review_folders import folder_key, list_reviews

PADDING, UNKNOWN = 0, 1
WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
LINE_BREAK = re.compile(r"<br\s*/?>")  # IMDb's reviews keep the tags of their web pages


@dataclass(frozen=True)
class Reviews(Task):
    """Whether a review is positive, from its words in order, with the usual preprocessing of IMDb.

    A word is a run of lower-case letters, including apostrophes within it (``don't``); ``<br />`` is not a word. The
    vocabulary is the most frequent words of the chosen reviews, train and test (as published), ties in alphabetical
    order. Token 0 is padding, 1 any word outside the vocabulary, 2 the most frequent word. A review is cut after its first
    ``max_length`` words and padded on the left.

    Attributes:
        path: a CSV file (fields may be quoted) or a TSV file (one review a line), in UTF-8, with or without names of
            columns; or a folder in the layout of IMDb's data set (Maas et al. 2011,
            https://ai.stanford.edu/~amaas/data/sentiment/), aclImdb: train/pos, train/neg, test/pos, test/neg, with a file
            ID_RATING.txt for each review. Of the whole folder, train and test reviews are pooled, then split as here.
        text_column: the column of the reviews, by name or by number from 1; guessed by the usual names, then as the
            longest texts.
        label_column: the column of the labels: 0 and 1, positive and negative, pos and neg, or numbers of both signs
            (positive above 0). Guessed by the usual names, then as the only column with such labels.
        n: how many reviews to use, 0 for all. They are drawn at random, the same for every seed, since files may be
            sorted by label.
        train_fraction: share of the reviews that are trained on; the first of ``torch.randperm``.
        vocabulary: how many words have a token of their own.
        max_length: how many words of a review are read.
        seed: of the split.
        loss: one of `LOSSES`.

    Raises:
        InterpError: a missing or unreadable file or column, labels of one class only, or an empty split.
    """

    name: ClassVar[str] = "reviews"
    summary: ClassVar[str] = "positive and negative reviews from a CSV or TSV file or IMDb's folder, as words"
    LOSSES: ClassVar[tuple[str, ...]] = ("bce", "cross_entropy")
    paths: ClassVar[tuple[str, ...]] = ("path",)
    HELP: ClassVar[dict[str, str]] = {
        **Task.HELP,
        "path": "a CSV or TSV file of reviews with labels, or IMDb's folder aclImdb",
        "text_column": "the column of the reviews, by name or number from 1; guessed without it",
        "label_column": "the column of the labels, by name or number from 1; guessed without it",
        "n": "how many reviews to take, drawn at random, the same for every seed; 0 takes all",
        "train_fraction": "share of the reviews that are trained on",
        "vocabulary": "how many words have a token of their own",
        "max_length": "how many words of a review are read",
        "seed": "seed of the split into train and test",
    }

    path: str
    text_column: str | int | None = None
    label_column: str | int | None = None
    n: int = 1000
    train_fraction: float = 0.75
    vocabulary: int = 1000
    max_length: int = 500
    seed: int = 0
    loss: str = "bce"

    def __post_init__(self) -> None:
        text_field(self, "path")
        require_count(self, "n", 0)
        require_count(self, "vocabulary")
        require_count(self, "max_length")
        for name in ("text_column", "label_column"):
            if isinstance(getattr(self, name), bool) or not isinstance(getattr(self, name), (str, int, type(None))):
                raise InterpError(f"reviews: {name} must be a name or a number from 1, got {getattr(self, name)!r}")
        check_common(self)
        fraction, n = self.train_fraction, len(self.labels)
        if not isinstance(fraction, (int, float)) or not 0 < fraction <= 1 or int(fraction * n) == 0:
            raise InterpError(f"reviews: train_fraction {fraction!r} leaves nothing to train on of {n} reviews")

    @cached_property
    def _encoded(self) -> Encoded:
        columns = (self.text_column, self.label_column)
        return encode(source_key(self.path), columns, self.n, self.vocabulary, self.max_length)

    @property
    @override
    def purpose(self) -> str:
        return "tells positive from negative reviews"

    @override
    def make_inputs(self) -> Tensor:
        """Tokens ``[review, pos]``; the longest review has no padding."""
        return self._encoded.tokens

    @override
    def make_labels(self) -> Tensor:
        """1 for positive, 0 for negative ``[review]``."""
        return self._encoded.labels

    @property
    def words(self) -> list[str]:
        """The vocabulary, most frequent first: word i is token ``i + 2``."""
        return list(self._encoded.words)

    @property
    @override
    def n_tokens(self) -> int:
        """Number of tokens, padding and unknown included."""
        return len(self._encoded.words) + 2

    @override
    def make_split(self) -> tuple[Tensor, Tensor]:
        order = torch.randperm(len(self.labels), generator=torch.Generator().manual_seed(self.seed))
        cut = int(self.train_fraction * len(order))
        return order[:cut], order[cut:]

    @property
    @override
    def n_outputs(self) -> int:
        return 2

    @override
    def _shapes(self) -> dict[str, dict[str, Any]]:
        ends = {"d_vocab": self.n_tokens, "d_out": self.width}
        return {"lstm": {**ends, "n_ctx": self.inputs.shape[1]}, "rnn": {**ends, "read": "last"}}

    @override
    def fit(self, model: HookedModel) -> Self:
        config, problems = model.config, []
        embedded, gives = getattr(config, "d_vocab", None) or 0, getattr(config, "d_out", None)
        if config.kind not in ("lstm", "rnn"):
            problems.append(f"it needs a model of kind 'lstm' or 'rnn', this is {config.kind!r}")
        elif getattr(config, "read", "last") != "last":
            problems.append("the model is read at each step, the task at the last (--layout recurrent:read=last)")
        elif embedded < self.n_tokens:
            problems.append(f"the model embeds {embedded} tokens, the task has {self.n_tokens}")
        if gives != self.width:
            problems.append(
                f"the model has {gives or 'no plain'} outputs, the task's loss {self.loss} reads {self.width}"
            )
        self._mismatch(problems)
        return self


class Encoded(NamedTuple):
    """Tokens ``[review, pos]``, labels ``[review]``, and the vocabulary, most frequent word first."""

    tokens: Tensor
    labels: Tensor
    words: tuple[str, ...]


def source_key(path: str) -> FileKey:
    """The key of a file, or of a folder of reviews.

    Args:
        path: of either; ``~`` is the user's home.

    Returns:
        Its key.

    Raises:
        UnreadableFile: neither, or a folder of another layout.
    """
    return folder_key(path) if Path(path).expanduser().is_dir() else file_key(path)


@lru_cache(maxsize=4)
def encode(key: FileKey, columns: tuple[Column, Column], n: int, vocabulary: int, max_length: int) -> Encoded:
    """Tokens and labels of ``n`` reviews drawn at random, in the file's order; cached for all tasks on them.

    Args:
        key: of the file or folder.
        columns: of the texts and of the labels; None to guess.
        n: how many reviews; 0 for all.
        vocabulary: how many words have a token of their own.
        max_length: words of a review that are kept.

    Returns:
        The tokens, labels and words.

    Raises:
        InterpError: more reviews than the file has, only one class, or no words.
    """
    if Path(key.path).is_dir():
        if columns != (None, None):
            raise InterpError(f"{key.path} is a folder: text_column and label_column are for CSV and TSV files")
        rated = list_reviews(key)
    else:
        rated = read_reviews(key, *columns)
    if n > len(rated.texts):
        raise InterpError(f"reviews: n={n}, but {key.path} has {len(rated.texts)} reviews; n=0 takes all")
    drawn = torch.randperm(len(rated.texts), generator=torch.Generator().manual_seed(0))[: n or None].sort().values
    labels = torch.tensor(rated.labels)[drawn]
    if len(labels.unique()) < 2:
        kind = "positive" if labels[0] else "negative"
        raise InterpError(
            f"{key.path}: the {len(labels)} reviews that were taken are all {kind}; give a larger n, or another file"
        )
    reviews = [split_words(rated.texts[int(i)]) for i in drawn.tolist()]
    words = most_frequent(reviews, vocabulary)
    if not words:
        raise InterpError(f"{key.path}: the column of reviews holds no words of a-z; give text_column=NAME or NUMBER")
    return Encoded(to_tokens([review[:max_length] for review in reviews], words), labels, tuple(words))


def split_words(text: str) -> list[str]:
    """The words of a text, lower case.

    Args:
        text: of a review.

    Returns:
        The words in order.

    >>> split_words("''Don't!'' <br />GOOD film-making")
    ["don't", 'good', 'film', 'making']
    """
    return WORD.findall(LINE_BREAK.sub(" ", text.lower()))


def most_frequent(reviews: list[list[str]], n: int) -> list[str]:
    """The ``n`` most frequent words, ties in alphabetical order.

    Args:
        reviews: the words of each.
        n: how many.

    Returns:
        The words, most frequent first.

    >>> most_frequent([["b", "a"], ["c", "c"]], 2)
    ['c', 'a']
    """
    counts = Counter(word for review in reviews for word in review)
    return sorted(counts, key=lambda word: (-counts[word], word))[:n]


def to_tokens(reviews: list[list[str]], words: list[str]) -> Tensor:
    """Tokens of reviews, padded on the left.

    Args:
        reviews: the words of each.
        words: the vocabulary, most frequent first.

    Returns:
        Tokens ``[review, pos]``.

    >>> to_tokens([["a"], ["a", "b", "x"]], ["b", "a"]).tolist()
    [[0, 0, 3], [3, 2, 1]]
    """
    index = {word: token for token, word in enumerate(words, start=UNKNOWN + 1)}
    width = max(len(review) for review in reviews)
    tokens = torch.full((len(reviews), width), PADDING)
    for row, review in zip(tokens, reviews, strict=True):
        if review:
            row[-len(review) :] = torch.tensor([index.get(word, UNKNOWN) for word in review])
    return tokens
