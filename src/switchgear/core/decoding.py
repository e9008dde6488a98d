"""What a decoder raises for bytes that somebody else wrote."""

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Of `msgspec`, whatever the format: not of that form or shape; text that is no UTF-8; nested deeper than the stack."""
