"""Names that hold a body together (tools, properties of schemas, ids of calls), hashed: the same one the same way, and nobody's word."""

import hashlib
import hmac

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SHORTEST, _LONGEST = 6, 64


class Names:
    """Of one sketch: its salt is known to nobody afterwards, so that no name can be found by trying."""

    __slots__ = ("_known", "_salt", "_taken")

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self._known: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, name: str) -> str:
        """What stands for a name: as long, within 6 and 64; letters and digits in turn, so that no word can come of it."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._new(name)
        return known

    def _new(self, name: str) -> str:
        length = min(max(len(name), _SHORTEST), _LONGEST)
        for count in range(1_000):
            digest = hmac.digest(self._salt, f"{count}:{name}".encode(errors="replace"), hashlib.sha512)
            made = "".join(
                str(byte % 10) if place % 2 else _LETTERS[byte % 26] for place, byte in enumerate(digest[:length])
            )
            if made not in self._taken:
                break
        self._taken.add(made)
        return made
