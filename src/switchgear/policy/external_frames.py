"""What goes over the pipe between a gateway and an external screen's process: one JSON array a line."""

import msgspec

LARGEST_LINE = 32 * 1024 * 1024


class Ready(msgspec.Struct, array_like=True):
    """The first line: it can be asked now, or why it never can."""

    error: str = ""


class Request(msgspec.Struct, array_like=True):
    number: int
    texts: list[str]


class Reply(msgspec.Struct, array_like=True):
    number: int
    findings: list[tuple[str, int, int, int]] = []
    """Type, first character, character after the last, number of the text."""
    error: str = ""
    """What went wrong, without any of the text."""


def line(frame: Ready | Request | Reply) -> bytes:
    """A frame as its line. JSON escapes line breaks."""
    return msgspec.json.encode(frame) + b"\n"
