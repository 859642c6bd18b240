"""Where images of digits come from: scikit-learn, MNIST's IDX files, or an NPZ file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from interp.errors import InterpError, UnreadableFile
from interp.tasks.files import FileKey, file_key
from interp.tasks.idx import MOST_BYTES, find_idx, read_idx

PARTS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
MOST_CLASSES = 1000
# the names of images and labels in an NPZ file: train, then test
NAMES = (("x_train", "y_train", "x_test", "y_test"), ("x", "y"), ("data", "target"), ("images", "labels"))


@dataclass(frozen=True)
class DigitFiles:
    """Images ``[n, ...]`` with the labels ``[n]``: first ``n_train`` to train on, then the set's own test set.

    Attributes:
        images: bytes, or floats that are used as pixels unchanged.
        scale: divisor of the pixels.
        labels: whole numbers from 0.
        n_train: None if the set is not divided into train and test.
    """

    images: np.ndarray
    scale: float
    labels: np.ndarray
    n_train: int | None


def digit_keys(path: str) -> tuple[FileKey, ...]:
    """The files that a path stands for: none, the four of a folder, or one NPZ file."""
    if not path:
        return ()
    try:
        folder = Path(path).expanduser()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError):  # too long, or the home of nobody: file_key says so
        return (file_key(path),)
    if is_folder:
        return tuple(file_key(find_idx(folder, part)) for part in PARTS)
    if folder.suffix != ".npz" and folder.is_file():
        raise UnreadableFile(f"{path}: give the folder of MNIST's IDX files, or an .npz file")
    return (file_key(path),)


@lru_cache(maxsize=2)
def read_digits(keys: tuple[FileKey, ...]) -> DigitFiles:
    """The whole data set, once for all tasks on it."""
    if not keys:
        return _bundled()
    if len(keys) == 1:
        return _from_npz(keys[0].path)
    arrays = [read_idx(Path(key.path), n_dims) for key, n_dims in zip(keys, (3, 1, 3, 1), strict=True)]
    return _checked(arrays, [key.path for key in keys])


def _bundled() -> DigitFiles:
    """The 1,797 digits of 8x8 pixels of scikit-learn, with values from 0 to 16."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise InterpError(
            "the task digits takes its data from scikit-learn, which is not installed: pip install scikit-learn, or give "
            "path=FOLDER with MNIST's files"
        ) from None
    pixels, labels = load_digits(return_X_y=True)
    return DigitFiles(np.asarray(pixels).reshape(-1, 8, 8), 16.0, np.asarray(labels, dtype=np.int64), None)


def _from_npz(path: str) -> DigitFiles:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
                raise UnreadableFile(f"{path}: unpacks to more than {MOST_BYTES:,} bytes")
        with np.load(path, allow_pickle=False) as stored:
            names = next((names for names in NAMES if set(names) <= set(stored.files)), None)
            if names is None:
                wanted = "; or ".join(", ".join(names) for names in NAMES)
                raise UnreadableFile(f"{path}: needs arrays {wanted}; it has {', '.join(stored.files) or 'none'}")
            arrays = [stored[name] for name in names]
            if not all(
                isinstance(array, np.ndarray) for array in arrays
            ):  # numpy gives the bytes of a member that is not an array
                raise UnreadableFile(f"{path}: {', '.join(names)} are not all arrays; save it again with numpy.savez")
    except InterpError:
        raise
    except Exception as error:  # zipfile and numpy raise a dozen kinds on damaged files
        raise UnreadableFile(f"{path}: is not an NPZ file of plain arrays, or is damaged ({error})") from None
    return _checked(arrays, [f"{path}, {name}" for name in names])


def _checked(arrays: list[np.ndarray], where: list[str]) -> DigitFiles:
    """Pairs of images and labels, put together after they are found to be such."""
    for i in range(0, len(arrays), 2):
        _check_images(arrays[i], where[i])
        arrays[i + 1] = _whole(arrays[i + 1], where[i + 1])
        if len(arrays[i]) != len(arrays[i + 1]):
            raise UnreadableFile(f"{where[i + 1]}: {len(arrays[i + 1])} labels for {len(arrays[i])} images")
    images, labels, *test = arrays
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    if not test:
        return DigitFiles(images, scale, labels, None)
    if test[0].shape[1:] != images.shape[1:] or test[0].dtype != images.dtype:
        kinds = [f"{a.dtype} {list(a.shape[1:])}" for a in (test[0], images)]
        raise UnreadableFile(f"{where[2]}: images of {kinds[0]}, but those to train on are {kinds[1]}")
    return DigitFiles(np.concatenate([images, test[0]]), scale, np.concatenate([labels, test[1]]), len(images))


def _check_images(images: np.ndarray, where: str) -> None:
    if images.ndim < 2 or not images.size or images.dtype.kind not in "uif":
        raise UnreadableFile(f"{where}: images must be numbers [n, ...], got {images.dtype} {list(images.shape)}")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        first = int(np.argwhere(~np.isfinite(images))[0][0])
        raise UnreadableFile(f"{where}: image {first} holds NaN or infinity")


def _whole(labels: np.ndarray, where: str) -> np.ndarray:
    flat = labels.reshape(-1) if labels.ndim == 2 and labels.shape[1] == 1 else labels
    numbers = flat.ndim == 1 and flat.size and flat.dtype.kind in "uif" and np.isfinite(flat).all()
    if not numbers or (flat != flat.round()).any() or flat.min() < 0 or flat.max() >= MOST_CLASSES:
        raise UnreadableFile(
            f"{where}: labels must be whole numbers [n] from 0 to {MOST_CLASSES - 1}, got {labels.dtype} {list(labels.shape)}"
        )
    return flat.astype(np.int64)
