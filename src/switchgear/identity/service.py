"""Who calls: `Identity.identify`, on the way of each call, and `Identities`, which makes one for each snapshot."""

from asyncio import Task
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from switchgear.core.identity import Certificate, Key, OidcProvider
from switchgear.core.tasks import TaskOwner
from switchgear.identity.certificates import Certificates
from switchgear.identity.errors import ClaimsUnusable, KeyUnknown, TokenRejected
from switchgear.identity.key_source import KeySource
from switchgear.identity.keys import credentials_of
from switchgear.identity.model import Answer, Credential, Pending, Principals
from switchgear.identity.refusals import UNKNOWN_KEY, Refusal
from switchgear.identity.token_cache import TokenCache
from switchgear.identity.tokens import Unverified
from switchgear.identity.verifier import Verifier

SourceOf = Callable[[str, OidcProvider, Callable[[frozenset[str]], None]], KeySource]
"""Makes the source of a provider's keys: its name, what is configured, and whom to tell of keys that are gone."""


class Identity:
    """Who may call, by one snapshot. Never changed once made; what it remembers of tokens is."""

    def __init__(
        self,
        keys: dict[bytes, Credential],
        certificates: Certificates,
        verifiers: Iterable[Verifier],
        tokens: TokenCache,
        now_s: Callable[[], float],
    ) -> None:
        """`now_s` is asked when a call goes on that had to wait."""
        self.certificates = certificates
        self._keys = keys
        self._verifiers = {verifier.provider.issuer: verifier for verifier in verifiers}
        self._tokens = tokens
        self._recent = tokens.recent
        self._now_s = now_s

    @property
    def credentials(self) -> Iterable[Credential]:
        """Those of the keys."""
        return self._keys.values()

    def identify(self, token: bytes, now_s: float) -> Answer | Pending:
        """Who shows this key or token now (Unix time).

        A key, or a token that was shown before, costs a hash and a look-up; a new token a signature (110 us and more, docs/identity.md).
        Only hashes are compared: the look-up goes by the hash's own hash, and the final comparison takes constant time.
        """
        digest = sha256(token).digest()
        credential = self._keys.get(digest) or self._recent.get(digest)
        if (
            credential is not None
            and credential.from_s <= now_s < credential.until_s
            and compare_digest(credential.digest, digest)
        ):
            return credential.principal
        return self._look(token, digest, credential, now_s)

    def credential(self, token: bytes) -> Credential | None:
        """What was remembered when `identify` last knew this token: to be kept beside a connection on which it comes again."""
        digest = sha256(token).digest()
        return self._keys.get(digest) or self._recent.get(digest)

    def _look(self, token: bytes, digest: bytes, known: Credential | None, now_s: float) -> Answer | Pending:
        known = known or self._tokens.recall(digest)
        if known is not None and (answer := known.answer(now_s)) is not None:
            return answer
        if (
            not self._verifiers or token[:2] != b"ey" or token.count(b".") != 2
        ):  # `{"` in base64: every token's beginning
            return UNKNOWN_KEY
        try:
            unverified = Unverified(token)
            verifier = self._verifier(unverified)
        except TokenRejected as error:
            return _refusal(error)
        return self._verify(verifier, unverified, digest, now_s, last=False)

    def _verifier(self, token: Unverified) -> Verifier:
        issuer = token.issuer
        found = self._verifiers.get(issuer) if isinstance(issuer, str) else None
        if found is None:
            raise TokenRejected(f"its issuer is {str(issuer)[:200]!r}")
        return found

    def _verify(
        self, verifier: Verifier, token: Unverified, digest: bytes, now_s: float, *, last: bool
    ) -> Answer | Pending:
        source = verifier.source
        try:
            credential = verifier.verify(token, digest, now_s)
        except KeyUnknown as error:
            if not last:
                pending = Pending(lambda: self._verify_last(verifier, token, digest))
                if source.ask(pending.settle):
                    return pending
            unavailable = error.code == "identity_provider_unavailable"
            return Refusal(error.code, str(error), max(1.0, source.rest_s()) if unavailable else None)
        except (TokenRejected, ClaimsUnusable) as error:
            return _refusal(error)
        self._tokens.keep(credential)
        return credential.principal

    def _verify_last(self, verifier: Verifier, token: Unverified, digest: bytes) -> Answer:
        answer = self._verify(verifier, token, digest, self._now_s(), last=True)
        assert not isinstance(answer, Pending)  # noqa: S101  the last look does not wait
        return answer

    def certificate(self, peer: Mapping[str, Any], der: bytes) -> Credential | Refusal:
        """Who shows this client certificate; to be asked once for each connection, and `Credential.answer` for each call."""
        return self.certificates.credential(peer, der)


def _refusal(error: TokenRejected | ClaimsUnusable) -> Refusal:
    return Refusal(error.code, str(error))


class Identities:
    """Makes an `Identity` for each snapshot, and keeps what outlives one: the providers' keys, verified tokens, principals."""

    def __init__(self, source_of: SourceOf, now_s: Callable[[], float]) -> None:
        self._source_of = source_of
        self._now_s = now_s
        self._principals = Principals()
        self._verifiers: dict[str, Verifier] = {}
        self._tokens = TokenCache()
        self._tasks = TaskOwner("identity")
        self._running: dict[KeySource, Task[None]] = {}

    def build(
        self, keys: Iterable[Key], providers: Mapping[str, OidcProvider], certificates: Iterable[Certificate]
    ) -> Identity:
        """To be called in the event loop where there are providers: their keys are read from now on.

        Tokens stay verified where no provider has changed; else each is verified anew, by the rules that hold now.
        """
        verifiers = {name: self._verifier(name, provider) for name, provider in providers.items()}
        if verifiers != self._verifiers:
            self._tokens = (
                TokenCache()
            )  # a new one: a call that waits goes on by the old rules, and may not teach the new ones
        self._verifiers = verifiers
        sources = {verifier.source for verifier in verifiers.values()}
        for source in [source for source in self._running if source not in sources]:
            self._running.pop(source).cancel()
        for source in sources - self._running.keys():
            self._running[source] = self._tasks.start(source.run())
        return Identity(
            credentials_of(keys, self._principals),
            Certificates(certificates, self._principals),
            verifiers.values(),
            self._tokens,
            self._now_s,
        )

    def _verifier(self, name: str, provider: OidcProvider) -> Verifier:
        kept = self._verifiers.get(name)
        if kept is not None and kept.provider == provider:
            return kept
        if kept is not None and _reading(kept.provider) == _reading(provider):
            return Verifier(name, provider, kept.source, self._principals)
        return Verifier(name, provider, self._source_of(name, provider, self._forget), self._principals)

    def _forget(self, signers: frozenset[str]) -> None:
        self._tokens.forget(signers)

    def live(self, now_s: float) -> dict[str, object]:
        """What is known of each provider at the moment, for those who look on; times in seconds."""
        return {
            name: {
                "keys": len(found) if (found := verifier.source.keys(now_s)) is not None else 0,
                "good_for_s": max(0.0, verifier.source.good_until_s - now_s),
                "readings": verifier.source.readings,
                "last_error": str(verifier.source.last_error or ""),
            }
            for name, verifier in self._verifiers.items()
        }

    async def close(self) -> None:
        """Stop reading keys; whoever waits for them is refused."""
        await self._tasks.close()


def _reading(provider: OidcProvider) -> tuple[object, ...]:
    """What of a provider's table its keys and their reading depend on."""
    return (
        provider.issuer,
        provider.jwks_url,
        provider.ca,
        provider.refresh_s,
        provider.min_refresh_s,
        provider.max_stale_s,
        provider.fetch_s,
    )
