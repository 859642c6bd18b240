"""Pictures as a page holds them: the same pixels in fewer bytes than the PNG beside it."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import torch
from markupsafe import Markup

from interp.pictures import Picture


def picture_entry(label: str, file: str, picture: Picture) -> dict[str, Any]:
    """A picture as the templates take it.

    Args:
        label: what a reader sees.
        file: its PNG beside the page.
        picture: the picture.

    Returns:
        Its label, file, width in pixels, and ``uri``, which holds the picture itself.
    """
    return {"label": label, "file": file, "uri": image_uri(picture), "width": picture.size[1]}


def image_uri(picture: Picture) -> Markup:
    """The picture, pixel by pixel the same, as a ``data:`` URI: WebP without loss where it is shorter than PNG."""
    from PIL import features

    png = picture.png()
    webp = _webp(picture) if features.check("webp") else png
    kind, data = ("webp", webp) if len(webp) < len(png) else ("png", png)
    return Markup(f"data:image/{kind};base64,{base64.b64encode(data).decode()}")


def thumbnail_uri(picture: Picture, width: int, height: int) -> Markup:
    """The picture no larger than that."""
    image = picture.image()
    image.thumbnail((width, height))
    return image_uri(Picture(torch.from_numpy(np.asarray(image) / 255)))


def _webp(picture: Picture) -> bytes:
    stream = io.BytesIO()
    picture.image().save(stream, "WEBP", lossless=True, quality=60)
    return stream.getvalue()
