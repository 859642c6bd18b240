"""Files that are intact and no checkpoint: each is named, none is called damaged, and the way on fits it."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import interp
from interp.checkpoints.formats import reading as formats
from interp.errors import InterpError, UnreadableFile
from interp.picbreeder import read as read_genome
from tests.interp.checkpoints.files import write

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 1234567\n".format("ab" * 32).encode()


def said(path: Path) -> str:
    """The one message about a file, which must name it and must not call it damaged."""
    with pytest.raises(UnreadableFile) as caught:
        formats.read(path)
    message = str(caught.value)
    assert str(path) in message
    assert not {"truncated", "corrupted", "damaged"} & set(message.replace(":", " ").split())
    return message


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".pkl", ".npz", ".safetensors", ".xml", ".h5", ""])
@pytest.mark.parametrize(
    "lines", [POINTER, POINTER.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + POINTER], ids=["lf", "crlf", "bom"]
)
def test_a_pointer_of_git_lfs_is_named(lines: bytes, suffix: str, tmp_path: Path) -> None:
    """With the size of the file that it stands for, whatever its name."""
    path = tmp_path / f"model{suffix}"
    path.write_bytes(lines)
    message = said(path)
    assert "1234567 bytes" in message
    assert "git lfs pull" in message


def test_a_pointer_in_place_of_a_shard_or_an_index(tmp_path: Path) -> None:
    """The message names the shard, not the index; and the index where it is the pointer."""
    path = write("safetensors (sharded)", tmp_path)
    shard = tmp_path / "model-00002-of-00002.safetensors"
    shard.write_bytes(POINTER)
    with pytest.raises(UnreadableFile, match="git lfs pull") as caught:
        formats.read(path)
    assert str(shard) in str(caught.value)
    path.write_bytes(POINTER)
    assert "git lfs pull" in said(path)


def test_a_pointer_in_a_folder_of_steps(tmp_path: Path) -> None:
    """The last step is read first, and is one."""
    torch.save({"w": torch.ones(2, 2)}, tmp_path / "step_1.pt")
    (tmp_path / "step_2.pt").write_bytes(POINTER)
    with pytest.raises(UnreadableFile, match=r"step_2\.pt is a Git LFS pointer"):
        interp.load(tmp_path)


READERS: dict[str, Callable[[Path], object]] = {
    "genome.xml": read_genome,
    "digits.npz": lambda path: interp.Digits(path=str(path)),
    "picture.png": lambda path: interp.ImageTask(target=str(path)),
}


@pytest.mark.parametrize("content", [POINTER, b"<!DOCTYPE html><html></html>"], ids=["pointer", "page"])
@pytest.mark.parametrize("name", READERS)
def test_other_readers_name_them_too(name: str, content: bytes, tmp_path: Path) -> None:
    """Genomes, pictures and data sets."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InterpError, match="git lfs pull|download the raw file"):
        READERS[name](tmp_path / name)


PAGES = {
    "plain": "<html><head><title>404</title></head></html>",
    "doctype": "<!doctype html>\n<html lang=en></html>",
    "upper case": '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN"><HTML></HTML>',
    "after white space": "\n\n   \t<html></html>",
    "after a comment": "<!-- saved from url=(0014)about:internet -->\n<!-- two -->\n<html></html>",
    "XHTML": '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x"><html/>',
    "XHTML without a type": '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"></html>',
    "a piece": "<head><meta charset='utf-8'></head>",
    "a script": "<script>window.location='/login'</script>",
    "not UTF-8": "<html><title>caf\xe9</title></html>",
}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".xml", ".pkl"])
@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_a_web_page_is_named(page: str, suffix: str, tmp_path: Path) -> None:
    """However it begins."""
    path = tmp_path / f"model{suffix}"
    for data in (page.encode("latin1"), b"\xef\xbb\xbf" + page.encode(), page.encode("utf-16")):
        path.write_bytes(data)
        message = said(path)
        assert "is a web page" in message
        assert "download the raw file" in message


SITES = {
    "<html><title>Sign in to GitHub \xb7 GitHub</title></html>": "/raw/",
    "<html><title>Google Drive - Virus scan warning</title></html>": "gdown",
    "<!doctype html><html><title>gpt2 \xb7 Hugging Face</title></html>": "/resolve/",
}


@pytest.mark.parametrize(("page", "way"), SITES.items())
def test_the_advice_fits_the_site(page: str, way: str, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_text(page, encoding="utf-8")
    assert way in said(tmp_path / "model.pt")


ANSWERS = ['{"error":"Invalid username or password."}', '{"message": "Not Found", "status": "404"}', ' \n{"detail": "no"}',
           "<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"]  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_servers_error_is_named(answer: str, tmp_path: Path) -> None:
    """JSON, and the XML of object stores."""
    (tmp_path / "model.safetensors").write_text(answer)
    message = said(tmp_path / "model.safetensors")
    assert "server's error message" in message
    assert "download" in message


def tar(path: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(path, "model.pt")
    return stream.getvalue()


def zipped(path: Path) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.write(path, "run/model.pt")
        archive.writestr("README", "x")
    return stream.getvalue()


OTHERS: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "model.pt.gz": (lambda path: gzip.compress(path.read_bytes()), "gzip.*unpack"),
    "model.pt": (tar, "tar archive.*unpack"),
    "models.pt": (zipped, r"archive of checkpoints.*unpack.*run/model\.pt"),
    "a.7z": (lambda _: b"7z\xbc\xaf\x27\x1c\0\4" + bytes(40), "7z.*unpack"),
    "a.xz": (lambda _: b"\xfd7zXZ\x00\0\4" + bytes(40), "xz.*unpack"),
    "model.onnx": (lambda _: b"\x08\x07\x12\x07pytorch\x1a\x052.0.0" + b"\xff\0" * 50, "ONNX.*initializers"),
    "exported.bin": (lambda _: b"\x08\x07\x12\x07pytorch\x1a\x052.0.0" + b"\xff\0" * 50, "ONNX"),
    "model.tflite": (lambda _: b"\x1c\0\0\0TFL3" + bytes(60), "TensorFlow Lite"),
    "model.gguf": (lambda _: b"GGUF\3\0\0\0" + bytes(60), "GGUF.*safetensors"),
    "model.ckpt-100.index": (lambda _: b"\0\0\1\2" + bytes(range(60)), "TensorFlow checkpoint.*load_checkpoint"),
    "model.ckpt.data-00000-of-00001": (lambda _: bytes(range(60)), "TensorFlow checkpoint"),
    "checkpoint": (lambda _: b'model_checkpoint_path: "model.ckpt-100"\n', "TensorFlow checkpoint"),
    "model.joblib": (lambda _: b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x13joblib.numpy_pickle\x94\x8c\x11", "joblib"),
    "small.pkl": (lambda _: b"x\x9c" + bytes(range(60)), "zlib"),
    "net.mat": (lambda _: b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(90), "loadmat"),
    "photo.pt": (lambda _: b"\x89PNG\r\n\x1a\n" + bytes(60), "PNG"),
    "nielsen.json": (
        lambda _: json.dumps({"sizes": [2, 1], "weights": [[[0.1, 0.2]]]}).encode(),
        "JSON text of numbers.*savez",
    ),
    "long.json": (lambda _: json.dumps({"weights": [[0.25] * 99_999]}).encode(), "JSON text of numbers.*savez"),
    "W1.csv": (lambda _: b"0.1,-2e-3,0.5\n1.0,2.0,3.0\n", "text of numbers.*loadtxt"),
    "gpt2_124M.bin": (lambda _: (20240326).to_bytes(4, "little") + bytes(1020), r"llm\.c"),
    "config.pt": (lambda _: json.dumps({"lr": 1e-3}).encode(), "JSON"),
    "train.bin": (lambda _: b"hello world, this is text\n", "text.*hello world"),
    "blank.pt": (lambda _: bytes(5000), "zeros.*copy it again"),
    "noise.pt": (lambda _: bytes(range(200, 255)), "starts with the bytes c8 c9.*known are"),
    "notes.txt": (lambda _: bytes(range(200, 255)), "known are.*safetensors"),
    "12345678.pt": (lambda _: b"12345678{ no header", "text"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_kind_of_file_is_named(name: str, tmp_path: Path) -> None:
    """With what to do about it."""
    torch.save({"w": torch.ones(2, 2)}, tmp_path / "inner")
    make, expected = OTHERS[name]
    (tmp_path / name).write_bytes(make(tmp_path / "inner"))
    with pytest.raises(UnreadableFile, match=f"(?s){expected}"):
        formats.read(tmp_path / name)
    said(tmp_path / name)


def test_damaged_is_what_a_containers_own_check_calls_so(tmp_path: Path) -> None:
    """A zip without its end, a flipped bit under a checksum, half a pickle, half a safetensors file."""
    torch.save({"w": torch.ones(64, 64)}, tmp_path / "a.pt")
    save_file({"w": torch.ones(64, 64)}, tmp_path / "b.safetensors")
    np.savez(tmp_path / "c.npz", w=np.ones((64, 64)))
    (tmp_path / "d.pkl").write_bytes(pickle.dumps({"w": np.ones((64, 64))}))
    for name in ("a.pt", "b.safetensors", "c.npz", "d.pkl"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(UnreadableFile, match="truncated or corrupted.*copy it again"):
            formats.read(path)


FOLDERS = {
    "a TensorFlow SavedModel": ["saved_model.pb", "variables/variables.index"],
    "a checkpoint of Orbax": ["_METADATA", "manifest.ocdbt", "d/0123"],
    "a TensorFlow checkpoint": ["checkpoint", "model.ckpt-100.index", "model.ckpt-100.data-00000-of-00001"],
}


@pytest.mark.parametrize("what", FOLDERS)
def test_folders_of_other_libraries_are_named(what: str, tmp_path: Path) -> None:
    """With the function that gets the arrays out of them."""
    for name in FOLDERS[what]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\x01")
    with pytest.raises(UnreadableFile, match=what + ".*numpy.savez"):
        interp.load(tmp_path)


def test_a_folder_of_runs_names_them(tmp_path: Path) -> None:
    """Each is a series of its own."""
    for name in ("run1/step_10.pt", "run2/step_10.pt"):
        (tmp_path / name).parent.mkdir()
        torch.save({"0.weight": torch.ones(2, 3)}, tmp_path / name)
    with pytest.raises(UnreadableFile, match="that hold checkpoints: run1, run2"):
        interp.load(tmp_path)
