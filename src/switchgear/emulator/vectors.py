"""Embeddings: unit vectors that depend on the model's name, the text and their length alone."""

import base64
import hashlib
import math
import struct


def embed(model: str, text: str, dimensions: int) -> list[float]:
    """A unit vector of `dimensions` numbers. Equal texts have equal vectors; other texts point somewhere else.

    The components are sums of evenly distributed bytes (SHAKE-256), near enough to normal that directions are spread evenly.
    """
    raw = hashlib.shake_256(f"embed\0{model}\0{text}".encode("utf-8", "surrogatepass")).digest(4 * dimensions)
    drawn = [raw[i] + raw[i + 1] + raw[i + 2] + raw[i + 3] - 510.0 for i in range(0, len(raw), 4)]
    length = math.hypot(*drawn) or 1.0
    return [value / length for value in drawn]


def as_base64(vector: list[float]) -> str:
    """The little-endian 32-bit floats of `vector` in base64, as `encoding_format: base64` has them."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
