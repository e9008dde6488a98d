"""One provider's tokens: from an unverified token to a credential."""

from switchgear.core.identity import OidcProvider
from switchgear.identity.claims import principal_of
from switchgear.identity.errors import KeyUnknown
from switchgear.identity.key_source import KeySource
from switchgear.identity.model import Credential, Principals
from switchgear.identity.tokens import Rules, Unverified


class Verifier:
    """Verifies a provider's tokens with its keys. The steps are those of RFC 8725: what costs least and says least comes first."""

    def __init__(self, name: str, provider: OidcProvider, source: KeySource, principals: Principals) -> None:
        self.name = name
        self.provider = provider
        self.source = source
        self._rules = Rules(provider)
        self._principals = principals

    def verify(self, token: Unverified, digest: bytes, now_s: float) -> Credential:
        """Raises KeyUnknown where reading the provider's keys again may help, else TokenRejected or ClaimsUnusable."""
        algorithm = self._rules.check_header(token)
        keys = self.source.keys(now_s)
        if keys is None:
            raise KeyUnknown(f"no keys of {self.name} are known: {self._why()}", "identity_provider_unavailable")
        chosen = keys.choose(token.kid, algorithm)
        token.verify(self._rules.registry, chosen.key)
        until_s = self._rules.check_claims(token.claims, now_s)
        return Credential(
            principal=principal_of(self.name, self.provider, token.claims, self._principals),
            digest=digest,
            until_s=min(until_s, self.source.good_until_s),
            signer=chosen.thumbprint,
        )

    def _why(self) -> str:
        return (
            "they are being read for the first time" if self.source.last_error is None else str(self.source.last_error)
        )
