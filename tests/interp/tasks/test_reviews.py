"""Reviews: tokens by hand, labels of every kind, tables with and without names, and files that are none."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from interp import HookedMLP, InterpError, MLPConfig
from interp.errors import TaskMismatch
from interp.tasks import Reviews, make_task, review_folders, task_from_dict, task_to_dict

GOOD = 'review,sentiment\n"Good, good film",positive\nBad film,negative\n"It\'s ""so"" good<br />good",positive\nBad,negative\n'


def write(folder: Path, content: str | bytes, name: str = "reviews.csv") -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_tokens_by_hand(tmp_path: Path) -> None:
    """good 4, bad 2, film 2, it's 1, so 1: the first three have tokens 2, 3, 4; the rest is 1; padding 0 on the left."""
    task = Reviews(write(tmp_path, GOOD), n=0, vocabulary=3)
    assert task.words == ["good", "bad", "film"]
    assert task.inputs.tolist() == [[0, 2, 2, 4], [0, 0, 3, 4], [1, 1, 2, 2], [0, 0, 0, 3]]
    assert task.labels.tolist() == [1, 0, 1, 0]
    assert (task.n_tokens, task.n_outputs, task.width) == (5, 2, 1)
    assert Reviews(write(tmp_path, GOOD), n=0, max_length=2).inputs.shape == (4, 2)
    assert Reviews(write(tmp_path, GOOD), n=0, vocabulary=3, max_length=2).inputs[2].tolist() == [1, 1]


def test_the_vocabulary_is_of_the_chosen_reviews(tmp_path: Path) -> None:
    """Reviews that are not taken give no words; the split does not matter."""
    path = write(tmp_path, GOOD)
    assert Reviews(path, n=2).words == ["film", "good", "bad"]
    assert Reviews(path, n=0, seed=1).words == Reviews(path, n=0, seed=2).words
    assert Reviews(path, n=0, seed=1).inputs.data_ptr() == Reviews(path, n=0, seed=2).inputs.data_ptr()


def test_the_split_is_torchs_permutation(tmp_path: Path) -> None:
    """The first three quarters of randperm are trained on."""
    path = write(tmp_path, "text,label\n" + "".join(f"w{chr(97 + i)},{i % 2}\n" for i in range(20)))
    order = torch.randperm(20, generator=torch.Generator().manual_seed(4))
    task = Reviews(path, n=0, seed=4)
    assert torch.equal(task.train_indices, order[:15])
    assert torch.equal(task.test_indices, order[15:])


@pytest.mark.real_data
def test_real_reviews(data: Path) -> None:
    """The id, rating, text table: columns are guessed; labels and words by another route through the file."""
    path = data / "reviews" / "movie_reviews.tsv"
    task = Reviews(str(path))
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    drawn = torch.randperm(len(lines), generator=torch.Generator().manual_seed(0))[:1000].sort().values
    rows = [lines[i] for i in drawn.tolist()]
    assert task.labels.tolist() == [int(float(rating) > 0) for _, rating, _ in rows]
    counts = Counter(w for _, _, text in rows for w in re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower()))
    assert {counts[w] for w in counts} >= {counts[w] for w in task.words}
    assert [counts[w] for w in task.words] == sorted(counts.values(), reverse=True)[:1000]
    assert (len(task.train_indices), len(task.test_indices), task.n_tokens) == (750, 250, 1002)
    assert int((task.inputs > 0).sum()) == sum(counts.values())
    assert len(Reviews(str(path), n=0).labels) == 10_605


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("0", "1", "1"), [0, 1, 1]), (("pos", "neg", "POS"), [1, 0, 1]), ((" Negative", "positive", "pos"), [0, 1, 1]),
        (("-2.5", "0", "0.1"), [0, 0, 1]), (("1.0", "0.0", "0"), [1, 0, 0]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("header", ["", "content\trating\n"])
def test_kinds_of_labels(labels: tuple[str, ...], expected: list[int], header: str, tmp_path: Path) -> None:
    """Words, 0 and 1, numbers of both signs; with names of columns and without."""
    table = header + "".join(f"some long words\t{label}\n" for label in labels)
    assert Reviews(write(tmp_path, table, "a.tsv"), n=0).labels.tolist() == expected


def test_columns_by_name_and_number(tmp_path: Path) -> None:
    """What the user says goes before what is guessed; unusual names make a header too."""
    table = "Opinion;grade;score\nfine thing;1;0\nawful thing;0;1\n"
    path = write(tmp_path, table)
    by_name = Reviews(path, "opinion", "grade", n=0)
    assert by_name.labels.tolist() == [1, 0]
    assert Reviews(path, 1, 2, n=0).labels.tolist() == [1, 0]
    assert Reviews(path, n=0).labels.tolist() == [0, 1]
    stray = write(tmp_path, '1\t-1\t"a stray quote\n\n2\t2\tanother "quote"\n', "a.tsv")
    assert Reviews(stray, n=0).words == ["quote", "a", "another", "stray"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"), ("\n\n", "is empty"), ("review,label\n", "only names"), ("only text\nmore text\n", "one column"),
        ("review,label\ngood,1\nbad,maybe\n", "column 'label', row 3: 'maybe' is not a label"),
        ("review,label\ngood,positive\nbad,7\n", "row 3: '7' is not a label"),
        ("review,label\ngood,5\nbad,1\n", "row 2: '5' is not a label"), ("review,label\ngood,nan\nbad,1\n", "row 2"),
        ("review,label\ngood,1\nfine,1\n", "2 reviews that were taken are all positive"),
        ("review,label\ngood,0\nfine,0\n", "all negative"), ("review,label\n12,0\n34,1\n", "no words"),
        ("review,label\ngood,1\nbad\n", "row 3: '' is not a label"), ("review,label\ngood,1\nbad,0,3\n", "line 3, saw 3"),
        ("label\treview\n1\tgood\n0\n", "row 3: the column of reviews, 'review', is empty"),
        ('review,label\n"good,1\nbad,0\n', "EOF|no table|only names"), ("long text here,1,0\nlong text too,0,1\n", "'2' and '3'"),
        ("long text here,a\nlong text too,b\n", "no column can be read as labels"),
        (b"review,label\ngood,1\nbad\xff,0\n", "line 3: is not UTF-8"),
    ],
)  # fmt: skip
def test_bad_files(content: str | bytes, message: str, tmp_path: Path) -> None:
    """The file is named, with the row or the column and what to do."""
    with pytest.raises(InterpError, match=message) as caught:
        Reviews(write(tmp_path, content), n=0)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "task reviews needs path"), ("path=none.csv", "none.csv: cannot be read"), ("path=GOOD", "n=1000, but .* has 4"),
        ("path=GOOD,n=0,text_column=reviw", "did you mean 'review'"), ("path=GOOD,n=0,label_column=9", "unknown column '9'"),
        ("path=GOOD,n=0,label_column=[1]", "name or a number"), ("path=GOOD,n=-1", "at least 0"),
        ("path=GOOD,n=0,train_fraction=0.1", "nothing to train on"), ("path=GOOD,n=0,train_fraction=2", "train_fraction"),
        ("path=GOOD,n=0,train_fraction=x", "train_fraction"), ("path=GOOD,n=0,vocabulary=0", "at least 1"),
        ("path=GOOD,n=0,max_length=0", "at least 1"), ("path=GOOD,n=0,loss=mse", "unknown loss"), ("path=5", "path of a file"),
    ],
)  # fmt: skip
def test_bad_specs(options: str, message: str, tmp_path: Path) -> None:
    """One clear message each."""
    with pytest.raises(InterpError, match=message):
        make_task(f"reviews:{options.replace('GOOD', write(tmp_path, GOOD))}")


def test_round_trips(tmp_path: Path) -> None:
    """As text and as a dict, a task comes back equal."""
    task = make_task(
        f"reviews:path={write(tmp_path, GOOD)},n=4,vocabulary=2,seed=1,text_column=review,loss=cross_entropy"
    )
    assert make_task(task.spec()) == task == task_from_dict(task_to_dict(task))


@dataclass(frozen=True)
class Recurrent:
    """Fields that the config of a recurrent network has."""

    d_vocab: int
    d_out: int
    kind: str = "lstm"


def test_fit(tmp_path: Path) -> None:
    """An LSTM with enough tokens and as many outputs as the loss reads; an MLP is told what is needed."""
    task = Reviews(write(tmp_path, GOOD), n=0)

    def model(d_vocab: int, d_out: int) -> Any:
        return SimpleNamespace(config=Recurrent(d_vocab, d_out))

    assert task.fit(model(task.n_tokens, 1)) is task
    with pytest.raises(TaskMismatch, match="embeds 6 tokens, the task has 7"):
        task.fit(model(6, 1))
    with pytest.raises(TaskMismatch, match="2 outputs, the task's loss bce reads 1"):
        task.fit(model(9, 2))
    with pytest.raises(TaskMismatch, match="kind 'lstm' or 'rnn', this is 'mlp'"):
        task.fit(HookedMLP(MLPConfig((4,), 1, d_in=4)))


@pytest.mark.real_data
def test_reviews_are_drawn_from_the_whole_file(data: Path) -> None:
    """The file is sorted by label (96% of its first 1,000 are positive): what is taken has the balance of all."""
    path = str(data / "reviews" / "movie_reviews.tsv")
    everything = Reviews(path, n=0).labels.double()
    assert everything[:1000].mean() > 0.95
    assert abs(Reviews(path, n=1000).labels.double().mean() - everything.mean()) < 0.05
    assert torch.equal(Reviews(path, seed=1).labels, Reviews(path, seed=2).labels)


def imdb(folder: Path, reviews: dict[str, str | bytes]) -> Path:
    """A folder in IMDb's layout, with what lies beside the reviews in the published one."""
    for part in ("train", "test"):
        for sort in ("pos", "neg", "unsup"):
            (folder / part / sort).mkdir(parents=True)
    (folder / "README").write_text("no review")
    (folder / "train" / "unsup" / "0_0.txt").write_text("not rated")
    (folder / "train" / "pos" / "urls.csv").write_text("no review")
    for name, text in reviews.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


FEW: dict[str, str | bytes] = {
    "train/pos/0_9.txt": "Good, good film<br />fine", "train/pos/10_7.txt": "fine", "train/neg/0_1.txt": "bad film",
    "test/pos/0_10.txt": "good", "test/neg/0_4.txt": "bad bad bad",
}  # fmt: skip


def test_a_folder_of_imdb(tmp_path: Path) -> None:
    """Train and test reviews are pooled, sorted by name; the label is that of their folder; other files are left out."""
    task = Reviews(str(imdb(tmp_path / "aclImdb", FEW)), n=0, vocabulary=3)
    assert task.labels.tolist() == [1, 1, 0, 1, 0]
    assert task.words == ["bad", "good", "film"]
    assert task.inputs.tolist() == [[3, 3, 4, 1], [0, 0, 0, 1], [0, 0, 2, 4], [0, 0, 0, 3], [0, 2, 2, 2]]
    one = Reviews(str(tmp_path / "aclImdb" / "train"), n=0)
    assert (one.labels.tolist(), make_task(task.spec())) == ([1, 1, 0], task)
    (tmp_path / "aclImdb" / "test" / "neg" / "0_4.txt").write_text("awful")
    assert "awful" in Reviews(str(tmp_path / "aclImdb"), n=0).words


def test_only_the_reviews_that_are_drawn_are_read(tmp_path: Path) -> None:
    """One that is no UTF-8 is named when it is drawn, and does no harm before."""
    folder = imdb(tmp_path / "aclImdb", {**FEW, **{f"test/pos/{i}_8.txt": "fine" for i in range(1, 40)}})
    drawn = torch.randperm(44, generator=torch.Generator().manual_seed(0))[:30].tolist()
    files = sorted(folder.glob("test/pos/*.txt"))
    free = next(i for i in range(3, 43) if i not in drawn)
    files[free - 3].write_bytes(b"\xff\xfe")
    assert len(Reviews(str(folder), n=30).labels) == 30
    with pytest.raises(InterpError, match=rf"{files[free - 3].name}: is not UTF-8"):
        Reviews(str(folder), n=0)


@pytest.mark.parametrize(
    ("reviews", "message"),
    [
        ({}, "holds no reviews; aclImdb has train/pos"), ({"train/pos/a.txt": "x"}, "a.txt: a review's file is called ID_RATING"),
        ({"train/pos/0_4.txt": "x"}, "rating 4, but reviews in pos have 7 to 10"),
        ({"test/neg/0_5.txt": "x"}, "rating 5, but reviews in neg have 1 to 4"),
        ({**FEW, "train/neg/1_1.txt": " "}, "1_1.txt: is empty"),
        ({**FEW, "train/neg/1_1.txt": b"x" * (2**20 + 1)}, "a review has at most 1,048,576"),
    ],
)  # fmt: skip
def test_bad_folders(reviews: dict[str, str | bytes], message: str, tmp_path: Path) -> None:
    """The file is named, with what is wrong."""
    with pytest.raises(InterpError, match=message):
        Reviews(str(imdb(tmp_path / "aclImdb", reviews)), n=0)


def test_a_folder_of_another_layout(tmp_path: Path) -> None:
    """What is missing is named; columns are for tables."""
    with pytest.raises(InterpError, match="has no folder pos; aclImdb has"):
        Reviews(str(tmp_path), n=0)
    folder = imdb(tmp_path / "aclImdb", FEW)
    with pytest.raises(InterpError, match="is a folder: text_column"):
        Reviews(str(folder), text_column="review", n=0)


def test_a_folder_never_reaches_outside_itself(tmp_path: Path) -> None:
    """Links to a file or a folder elsewhere are refused, named with where they lead; links inside are followed."""
    folder, secret = imdb(tmp_path / "aclImdb", FEW), tmp_path / "secret.txt"
    secret.write_text("good secret")
    link = folder / "train" / "pos" / "7_8.txt"
    link.symlink_to(folder / "test" / "pos" / "0_10.txt")
    assert len(Reviews(str(folder), n=0).labels) == 6
    link.unlink()
    link.symlink_to(secret)
    with pytest.raises(InterpError, match=r"7_8.txt: is a link to .*secret.txt, outside"):
        Reviews(str(folder), n=0)
    link.unlink()
    (folder / "test" / "pos").rename(tmp_path / "pos")
    (folder / "test" / "pos").symlink_to(tmp_path / "pos")
    with pytest.raises(InterpError, match="pos: is a link to .*outside"):
        Reviews(str(folder), n=0)
    (tmp_path / "linked").symlink_to(tmp_path / "aclImdb")  # the folder itself may be a link
    (folder / "test" / "pos").unlink()
    (tmp_path / "pos").rename(folder / "test" / "pos")
    assert len(Reviews(str(tmp_path / "linked"), n=0).labels) == 5


def test_budgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many files, and too many bytes in all."""
    folder = imdb(tmp_path / "aclImdb", FEW)
    monkeypatch.setattr(review_folders, "MOST_FILES", 4)
    with pytest.raises(InterpError, match="has more than 4 reviews"):
        Reviews(str(folder), n=0)
    monkeypatch.setattr(review_folders, "MOST_FILES", 5)
    monkeypatch.setattr(review_folders, "MOST_BYTES", 30)
    with pytest.raises(InterpError, match="more than 30 bytes"):
        Reviews(str(folder), n=0)
