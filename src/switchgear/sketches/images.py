"""Images and files in a sketch: described, not kept; made again, as noise of the same size, when it is sent.

A description is a text, `sketch:image;png;WIDTHxHEIGHT;BYTES` or `sketch:bytes;TYPE;BYTES`, where the data stood.
"""

import base64
import binascii
import random
import re
import struct
import zlib

_DESCRIPTION = re.compile(r"sketch:(image|bytes);([\w.+/-]{0,60});(?:(\d{1,6})x(\d{1,6});)?(\d{1,9})(;bare)?")
_DATA = re.compile(r"data:([\w.+/-]{0,60})[^,]{0,100};base64,")
_TYPES = frozenset(
    (
        *("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/plain"),
        *("audio/wav", "audio/mpeg", "audio/mp3"),
    )
)
_ANY_TYPE = "application/octet-stream"
_UNKNOWN_SIZE = (512, 512)
_REMOTE_BYTES = 8_192
_LARGEST_SIDE = 4_096
_LARGEST = 16 * 1024 * 1024


def describe(value: str) -> str:
    """A data URL, an address of an image, or bare base64, described."""
    data = _DATA.match(value)
    if data is None and re.match(r"[a-z]+://", value):
        return f"sketch:image;png;{_UNKNOWN_SIZE[0]}x{_UNKNOWN_SIZE[1]};{_REMOTE_BYTES}"
    kind = data[1] if data is not None and data[1] in _TYPES else _ANY_TYPE
    encoded = value[data.end() :] if data is not None else value
    size = len(encoded) * 3 // 4
    bare = "" if data is not None else ";bare"
    if kind.startswith("image/"):
        width, height = _size_of(_head(encoded))
        return f"sketch:image;png;{width}x{height};{size}{bare}"
    return f"sketch:bytes;{kind};{size}{bare}"


def is_description(value: str) -> bool:
    """Whether a text is one of these descriptions."""
    return _DESCRIPTION.fullmatch(value) is not None


def expand(value: str, rng: random.Random) -> str:
    """What is sent in place of a description; any other text as it is."""
    found = _DESCRIPTION.fullmatch(value)
    if found is None:
        return value
    kind, media, width, height, size, bare = found.groups()
    length = min(int(size), _LARGEST)
    if kind == "image":
        data, media = _png(int(width or 1), int(height or 1), length, rng), "image/png"
    else:
        data = rng.randbytes(length)
    encoded = base64.b64encode(data).decode()
    return encoded if bare else f"data:{media};base64,{encoded}"


def _head(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded[:262_144].rstrip("=") + "==", validate=False)
    except binascii.Error:
        return b""


def _size_of(data: bytes) -> tuple[int, int]:
    """Width and height by the head of a PNG, GIF or JPEG; 512 x 512 for any other."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data[:4] == b"GIF8" and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return width, height
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    while at + 9 < len(data) and data[at] == 0xFF:  # ITU-T T.81, annex B: markers, each with its length
        if 0xC0 <= data[at + 1] <= 0xCF and data[at + 1] not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return _UNKNOWN_SIZE


def _png(width: int, height: int, size: int, rng: random.Random) -> bytes:
    """A grey PNG of these sides (W3C PNG, third edition), filled up with noise in a private chunk to `size` bytes, where it is smaller."""
    width, height = min(max(width, 1), _LARGEST_SIDE), min(max(height, 1), _LARGEST_SIDE)
    rows = (b"\0" + b"\x55" * ((width + 7) // 8)) * height
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    body = b"\x89PNG\r\n\x1a\n" + head + _chunk(b"IDAT", zlib.compress(rows, 9))
    end = _chunk(b"IEND", b"")
    room = size - len(body) - len(end) - 12
    return body + (_chunk(b"noIs", rng.randbytes(room)) if room > 0 else b"") + end


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
