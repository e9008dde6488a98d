"""What a caller is told who is not let in. Stable codes; the message holds the remedy.

Only who showed a true secret learns more than "not known": a key that is expired or disabled is named so after its hash matched, and a
token's flaws are named after its signature was verified. All else about a token is one code with one message.
"""

import msgspec

WHAT_TO_DO: dict[str, str] = {
    "invalid_api_key": "The key is not known here. Check it for missing characters, or ask for a new one.",
    "key_expired": "The key has expired. Ask for a new one.",
    "key_not_yet_valid": "The key is not valid yet. Use the one before it until then.",
    "key_disabled": "The key is disabled. Ask who runs this gateway why.",
    "invalid_token": "The token's issuer, type, key or signature is not accepted here. Sign in at a provider that this gateway trusts.",
    "token_expired": "The token has expired. Sign in again, or refresh it.",
    "token_not_yet_valid": "The token is not valid yet. Check the clocks of this machine and of its provider.",
    "token_wrong_audience": "The token is meant for somebody else. Ask its provider for one with this gateway's audience.",
    "token_claims_unusable": "The token does not say who calls in the way that is configured here. Ask who runs this gateway.",
    "principal_disabled": "This identity is disabled here. Ask who runs this gateway why.",
    "identity_provider_unavailable": "The token cannot be verified at the moment, since its provider does not answer. Try again shortly.",
    "unknown_certificate": "The client certificate is no identity here. Ask who runs this gateway to add it.",
    "certificate_expired": "The client certificate is not valid now. Renew it.",
    "certificate_disabled": "The client certificate is disabled here. Ask who runs this gateway why.",
    "ambiguous_certificate": "The client certificate matches more than one identity here. Ask who runs this gateway to tell them apart.",
}  # fmt: skip
"""Every code of a refusal and what its caller is told."""


class Refusal(msgspec.Struct, frozen=True):
    """Why somebody is not let in."""

    code: str
    """A key of `WHAT_TO_DO`."""
    detail: str = ""
    """For the operator's log, never for the caller. It holds no secret."""
    retry_after_s: float | None = None
    """When it may go better, where it may."""

    @property
    def message(self) -> str:
        """For the caller."""
        return WHAT_TO_DO[self.code]


UNKNOWN_KEY = Refusal("invalid_api_key")
