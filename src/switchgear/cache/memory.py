"""Kept answers in memory, bounded in bytes: SIEVE (Zhang, Yang, Yue, Vigfusson, Rashmi: "SIEVE is Simpler than LRU", NSDI 2024).

Why SIEVE: a hit sets one mark and moves nothing, where LRU moves an entry with each hit; and an answer that nobody asks for again leaves
with the hand's next pass, where in LRU it travels through the whole list. Most questions are asked once, so that is most answers. W-TinyLFU
admits a little better still, for a sketch to be updated with every miss. `python -m bench.cache` compares hit rates with LRU.
"""

from switchgear.cache.model import Entry


class _Node:
    __slots__ = ("entry", "key", "newer", "older", "size", "visited")

    def __init__(self, key: bytes, entry: Entry) -> None:
        self.key = key
        self.entry = entry
        self.size = entry.size
        self.visited = False
        self.newer: _Node | None = None
        self.older: _Node | None = None


class Memory:
    """A map from keys to entries that never takes more than `capacity` bytes (as `Entry.size` counts them)."""

    __slots__ = ("_hand", "_newest", "_nodes", "_oldest", "_sweeper", "capacity", "evicted", "size")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self.evicted = 0
        """Entries that made room for others while they could still have been used."""
        self._nodes: dict[bytes, _Node] = {}
        self._newest: _Node | None = None
        self._oldest: _Node | None = None
        self._hand: _Node | None = None
        self._sweeper: _Node | None = None

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, key: bytes) -> bool:
        return key in self._nodes

    def get(self, key: bytes, now_s: float) -> Entry | None:
        """The entry, fresh or stale; None where there is none or its last time is over."""
        node = self._nodes.get(key)
        if node is None:
            return None
        entry = node.entry
        if now_s >= entry.stale_until_s:
            self._remove(node)
            return None
        node.visited = True
        return entry

    def put(self, key: bytes, entry: Entry) -> bool:
        """Keep an entry, in place of another with its key. Returns whether it is kept: one above an eighth of the capacity is not."""
        self.drop(key)
        node = _Node(key, entry)
        if node.size * 8 > self.capacity:
            return False
        while self.size + node.size > self.capacity:
            self._evict()
        node.older = self._newest
        if self._newest is not None:
            self._newest.newer = node
        else:
            self._oldest = node
        self._newest = node
        self._nodes[key] = node
        self.size += node.size
        return True

    def drop(self, key: bytes) -> None:
        """Forget an entry, if it is there."""
        node = self._nodes.get(key)
        if node is not None:
            self._remove(node)

    def clear(self) -> None:
        """Forget all."""
        for node in list(self._nodes.values()):
            self._remove(node)

    def sweep(self, now_s: float, limit: int = 256) -> int:
        """Look at `limit` entries, from where the last sweep ended, and forget those whose last time is over; returns how many.

        What is over is never given; this is so that it does not lie in memory either, where nobody asks for it again.
        """
        gone = 0
        node = self._sweeper or self._oldest
        for _ in range(min(limit, len(self._nodes))):
            if node is None:
                node = self._oldest
            if node is None:
                break
            following = node.newer
            if now_s >= node.entry.stale_until_s:
                self._remove(node)
                gone += 1
            node = following
        self._sweeper = node
        return gone

    def _evict(self) -> None:
        node = self._hand or self._oldest
        while node is not None and node.visited:
            node.visited = False
            node = node.newer or self._oldest
        if node is None:
            raise AssertionError("there is nothing to evict, and still too much")
        self._hand = node.newer
        self._remove(node)
        self.evicted += 1

    def _remove(self, node: _Node) -> None:
        if self._hand is node:
            self._hand = node.newer
        if self._sweeper is node:
            self._sweeper = node.newer
        if node.newer is not None:
            node.newer.older = node.older
        else:
            self._newest = node.older
        if node.older is not None:
            node.older.newer = node.newer
        else:
            self._oldest = node.newer
        node.newer = node.older = None
        del self._nodes[node.key]
        self.size -= node.size
