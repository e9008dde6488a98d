"""Tokens that were verified, by their SHA-256, so that a repeated token costs a look-up. Never the token itself."""

from switchgear.identity.model import Credential

GENERATION = 8192


class TokenCache:
    """Two generations: what was used since the last change is `recent`, what was used in the time before that comes back when asked for,
    the rest is forgotten. So it is bounded by twice a generation, and a hit in `recent` costs no bookkeeping.
    """

    def __init__(self, generation: int = GENERATION) -> None:
        self.recent: dict[bytes, Credential] = {}
        """Look here first; always the same object."""
        self._before: dict[bytes, Credential] = {}
        self._generation = generation

    def __len__(self) -> int:
        return len(self.recent.keys() | self._before.keys())

    def recall(self, digest: bytes) -> Credential | None:
        """What `recent` no longer has, if the generation before has it."""
        found = self._before.get(digest)
        if found is not None:
            self.keep(found)
        return found

    def keep(self, credential: Credential) -> None:
        """Remember it, as the most recent."""
        if len(self.recent) >= self._generation:
            self._before = self.recent.copy()
            self.recent.clear()
        self.recent[credential.digest] = credential

    def forget(self, signers: frozenset[str]) -> None:
        """Revoke what these keys signed."""
        for generation in (self.recent, self._before):
            for digest in [digest for digest, one in generation.items() if one.signer in signers]:
                generation.pop(digest).revoke()
