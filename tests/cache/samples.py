"""Answers to keep."""

from switchgear.cache.model import Answer, Entry, kept


def answer(body: bytes = b'{"id":"1"}', **fields: object) -> Answer:
    return Answer("chat/completions", body, "appliance", "llama-8b", **{"finish_reason": "stop", **fields})  # type: ignore[arg-type]  # a sample's fields are given by name


def entry(body: bytes = b'{"id":"1"}', *, now_s: float = 0.0, ttl_s: float = 60.0, stale_s: float = 0.0) -> Entry:
    return kept(answer(body), now_s, ttl_s, stale_s)
