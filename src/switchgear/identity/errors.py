"""What can go wrong in telling who calls.

::

    IdentityError
    ├── ProviderError          the keys of an OpenID provider could not be read; those known stay
    │   ├── ProviderUnreachable    no whole answer in time, or not with status 200
    │   └── ProviderUnusable       an answer, but not one that keys can be taken from
    ├── TokenRejected          a token that is not accepted; becomes a `Refusal`
    │   └── KeyUnknown         it names a key that its provider is not known to have; reading the keys again may help
    └── ClaimsUnusable         a good token that does not say who calls in the way that was configured

A refusal of a caller is no error but a value, see `switchgear.identity.refusals`.
"""

from switchgear.core.errors import SwitchgearError


class IdentityError(SwitchgearError):
    """Who calls cannot be told."""

    code = "identity_error"


class ProviderError(IdentityError):
    """The keys of a provider could not be read. The message says what to look at."""

    code = "identity_provider_failed"


class ProviderUnreachable(ProviderError):
    code = "identity_provider_unreachable"


class ProviderUnusable(ProviderError):
    code = "identity_provider_unusable"


class TokenRejected(IdentityError):
    """`code` is that of the refusal; the message is for the operator's log, and the caller may not get it."""

    code = "invalid_token"

    def __init__(self, message: str, code: str = "invalid_token") -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # one class for many codes: `refusals` is their list


class KeyUnknown(TokenRejected):
    pass


class ClaimsUnusable(IdentityError):
    code = "token_claims_unusable"
