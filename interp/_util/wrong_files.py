"""Files that are not what their name says: Git LFS pointers, saved web pages, archives, models of other programs.

They are intact, so none of them is called damaged: the message says what the file is, and how to get at what was wanted.
"""

from __future__ import annotations

import codecs
import html
import json
import re
from pathlib import Path

from interp.errors import UnreadableFile

HEAD = 1 << 16  # bytes that are looked at

# the first bytes of a kind, what to call it, and what to do with it
UNPACK = "unpack it, and name the file inside"
EXPORT = "save the weights from the program that wrote it, with torch.save(model.state_dict(), path) or numpy.savez"
SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "compressed with gzip", UNPACK),
    (b"\xfd7zXZ\x00", "compressed with xz", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"BZh", "compressed with bzip2", UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed with zstandard", UNPACK),
    (b"\x04\x22\x4d\x18", "compressed with lz4", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"\xc6\xd7\x34\x01", "a checkpoint of llm.c", "take the PyTorch model that it was written from or goes back to"),
    (b"GGUF", "a GGUF file (llama.cpp)", "take the model that it was converted from, as safetensors"),
    (b"lmgg", "a GGML file (llama.cpp)", "take the model that it was converted from, as safetensors"),
    (b"tjgg", "a GGML file (llama.cpp)", "take the model that it was converted from, as safetensors"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file", "read it with scipy.io.loadmat, and save its arrays with numpy.savez"),
    (b"PAR1", "a Parquet table", "name the file of the weights"),
    (b"SQLite format 3\x00", "an SQLite database", "name the file of the weights"),
    (b"\x89PNG\r\n", "a PNG picture", "name the file of the weights"),
    (b"\xff\xd8\xff", "a JPEG picture", "name the file of the weights"),
    (b"GIF8", "a GIF picture", "name the file of the weights"),
    (b"%PDF", "a PDF document", "name the file of the weights"),
    (b"\x7fELF", "a program", "name the file of the weights"),
)  # fmt: skip
NUMBERS = (
    "a JSON text of numbers: if they are the weights, read it with json.load, and save its arrays with numpy.savez"
)
MARKUP = (
    "html",
    "head",
    "body",
    "title",
    "meta",
    "script",
    "style",
    "link",
    "div",
    "p",
    "h1",
    "center",
    "pre",
    "table",
    "iframe",
)
PAGE = re.compile(rf"<(?:!doctype\s+html|(?:{'|'.join(MARKUP)})(?=[\s>/]))", re.IGNORECASE)
BEFORE = re.compile(r"(?:\s+|<!--.*?-->|<\?.*?\?>)+", re.DOTALL)  # what may stand before the first element
POINTER = re.compile(rb"version https?://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/")


def refuse(path: Path, head: bytes | None = None) -> None:
    """Raise if a file is a Git LFS pointer or a web page; for readers of any kind of file.

    Args:
        path: of the file; nothing happens if it cannot be opened.
        head: its first bytes, if they have been read.

    Raises:
        UnreadableFile: it is one of the two; the message says how to get the file itself.
    """
    if head is None:
        try:
            with path.open("rb") as file:
                head = file.read(HEAD)
        except OSError:
            return
    said = pointer(head) or page(head)
    if said:
        raise UnreadableFile(f"{path} is {said}")


def describe(path: Path, head: bytes) -> str | None:
    """What a file is that no reader of ours knows, and what to do about it.

    Args:
        path: of the file; its suffix tells some kinds.
        head: its first bytes.

    Returns:
        The end of a sentence that begins with "it is"; None if it is nothing known.
    """
    return pointer(head) or page(head) or answer(head) or _signed(head) or _other_model(path, head) or _text(head)


def describe_folder(folder: Path) -> str | None:
    """What a folder of another library's checkpoint is, and what to do about it.

    Args:
        folder: in which no checkpoint was found that is read here.

    Returns:
        The end of a sentence that begins with "it is"; None if it is nothing known.
    """
    names = {inner.name for inner in folder.iterdir()}
    if "saved_model.pb" in names:
        return f"a TensorFlow SavedModel: {EXPORT}"
    if names & {"_METADATA", "_CHECKPOINT_METADATA", "manifest.ocdbt"}:
        return (
            "a checkpoint of Orbax (JAX): restore it with orbax.checkpoint, and save its arrays with numpy.savez or "
            "flax.serialization"
        )
    if any(re.search(r"\.data-\d+-of-\d+$", name) for name in names):
        return "a TensorFlow checkpoint: load it with tf.train.load_checkpoint, and save its tensors with numpy.savez"
    return None


def pointer(head: bytes) -> str | None:
    """The words for a Git LFS pointer; None if it is not one."""
    if not POINTER.match(head.lstrip(b"\xef\xbb\xbf \t\r\n")):
        return None
    size = re.search(rb"^size (\d{1,18})\s*$", head, re.MULTILINE)
    real = f" (the file has {int(size[1])} bytes, {int(size[1]) / 1e6:.3g} MB)" if size else ""
    return f"a Git LFS pointer, not the file itself{real}: run `git lfs pull` in its repository, or download the file itself"


def page(head: bytes) -> str | None:
    """The words for a web page or a server's XML; None if it is neither."""
    text = _decoded(head)
    if text is None:
        return None
    start = BEFORE.match(text)
    body = text[start.end() if start else 0 :]
    if PAGE.match(body) or re.match(r"<!doctype\s+(?!genome)[^>]*html", body, re.IGNORECASE):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        named = re.sub(r"\s+", " ", html.unescape(title[1])).strip()[:80] if title else ""
        return f"a web page{f' ({named!r})' if named else ''}, not a checkpoint: {_download(text)}"
    if re.match(r"<(?:Error|ErrorResponse)[\s>]", body):
        return "a server's error message in XML, not a checkpoint: download the file itself again, and log in if it asks for that"
    return None


def _download(text: str) -> str:
    lower = text.lower()
    if "google drive" in lower or "drive.google" in lower:
        return "download the raw file in a browser, or with gdown; Google Drive asks before it sends large files"
    if "huggingface" in lower or "hugging face" in lower:
        return (
            "download the raw file (its address has /resolve/ in place of /blob/), logged in if it is private or gated"
        )
    if "github" in lower:
        return (
            "download the raw file (its address has /raw/ in place of /blob/), logged in if the repository is private"
        )
    return "download the raw file, not the page that shows it"


def answer(head: bytes) -> str | None:
    """The words for a JSON text, such as an error message that was saved in place of a file; None if it is not JSON."""
    text = _decoded(head)
    if text is None or text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if re.match(
            r"\s*[\[{].{0,2000}?\[\s*\[\s*-?\d+\.\d+", text, re.DOTALL
        ):  # a long one, of which this is the beginning
            return NUMBERS
        return "a JSON text, not a checkpoint: name the file of the weights" if _printable(text) else None
    known = value if isinstance(value, dict) else {}
    said = next((known[k] for k in ("error", "message", "detail", "errors", "Message", "msg") if k in known), None)
    if said is None and _holds_numbers(value):
        return NUMBERS
    if said is None:
        return "a JSON text, not a checkpoint: name the file of the weights"
    shown = str(said)[:80]
    return f"a server's error message ({shown!r}), not a checkpoint: download the raw file again, logged in if it is private"


def _holds_numbers(value: object) -> bool:
    """Whether a JSON value holds a list of lists of numbers, as matrices are written."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    rows = [v[0] for v in inner if isinstance(v, list) and v]
    return any(isinstance(r, list) and r and isinstance(r[0], (int, float, list)) for r in rows)


def _signed(head: bytes) -> str | None:
    if head[257:262] == b"ustar":
        return f"a tar archive: {UNPACK}"
    if head[4:8] == b"TFL3":
        return f"a TensorFlow Lite model: {EXPORT}"
    return next((f"{what}: {way}" for start, what, way in SIGNATURES if head.startswith(start)), None)


def _other_model(path: Path, head: bytes) -> str | None:
    name = path.name.lower()
    if name.endswith(".onnx") or (
        head[:1] == b"\x08" and head[1:2] < b"\x20" and re.search(rb"pytorch|onnx|tf2onnx|keras2onnx", head[:200])
    ):
        return "an ONNX model: take the weights from the program that exported it, or save its initializers with numpy.savez"
    if (
        re.search(r"\.data-\d+-of-\d+$", name)
        or name.endswith((".meta", ".index"))
        or head.startswith(b"model_checkpoint_path:")
    ):
        return "part of a TensorFlow checkpoint: load it with tf.train.load_checkpoint, and save its tensors with numpy.savez"
    if name == "saved_model.pb" or name.endswith(".pb"):
        return f"a TensorFlow graph: {EXPORT}"
    if b"joblib" in head[:200] or (
        head[:2] in (b"x\x9c", b"x\x01", b"x\xda", b"x^") and name.endswith((".joblib", ".pkl", ".z", ".gz"))
    ):
        return "a file of joblib or a pickle compressed with zlib: load it with joblib, and save its arrays with numpy.savez"
    if head and not head.strip(b"\x00"):
        return "all zeros as far as it was looked at, as a broken download leaves it: copy it again"
    return None


def _text(head: bytes) -> str | None:
    text = _decoded(head)
    if not text or not _printable(text):
        return None
    first = next((line for line in text.splitlines() if line.strip()), "").strip()[:60]
    if re.fullmatch(r"[-+\d.eE]+(?:[,;\s]+[-+\d.eE]+)+[,;]?", first):
        return "a text of numbers: if they are weights, read it with numpy.loadtxt, and save them with numpy.savez(path, W1=W1)"
    return f"a text (it begins with {first!r}), not a checkpoint: name the file of the weights"


def _decoded(head: bytes) -> str | None:
    """The text of a file, if it is one: UTF-8, or UTF-16 with its mark."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head.decode("utf-16", errors="replace")
    if b"\x00" in head:
        return None
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return head.decode("latin1") if b"<" in head[:200] else None


def _printable(text: str) -> bool:
    return bool(text.strip()) and all(c.isprintable() or c in "\t\r\n\f" for c in text)
