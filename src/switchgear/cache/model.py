"""What is kept."""

import msgspec

_OVERHEAD_BYTES = 512
"""What an entry takes beside its body: objects, names, its place (499 on CPython 3.11; `python -m bench.cache` measures it)."""


class Answer(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A whole answer, and what a record says of it. Grows at the end only: files of older versions are read."""

    endpoint: str
    """Path below `/v1/`."""
    body: bytes
    """The answer as it is given unstreamed; see `replay` for streams."""
    backend: str
    """Who gave it."""
    model: str
    """The model's name there."""
    finish_reason: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    usage: str = "none"
    """Where the counts are from: reported, estimated or none."""


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A kept answer and its times, Unix seconds."""

    answer: Answer
    stored_s: float
    fresh_until_s: float
    """Until then it is as good as a new one."""
    stale_until_s: float
    """From then on it is gone; in between it is a last resort."""

    def fresh(self, now_s: float) -> bool:
        """Whether it may be given as a plain hit."""
        return now_s < self.fresh_until_s

    def expired_s(self, now_s: float) -> float:
        """Seconds since its time was over; negative while it is fresh."""
        return now_s - self.fresh_until_s

    @property
    def size(self) -> int:
        """Bytes of memory that it takes, about."""
        return len(self.answer.body) + _OVERHEAD_BYTES


def kept(answer: Answer, now_s: float, ttl_s: float, stale_s: float = 0.0) -> Entry:
    """An answer to be given for `ttl_s` seconds, and as a last resort for `stale_s` more."""
    return Entry(answer, now_s, now_s + ttl_s, now_s + ttl_s + stale_s)
