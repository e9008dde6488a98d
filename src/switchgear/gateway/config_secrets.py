"""What looks like a secret, and which secrets everybody knows. Pure tables and their questions."""

import re
from hashlib import sha256

_SECRET_KEY = re.compile(
    r"(.*_)?(api_?keys?|access_?key|private_?key|token|auth|authorization|bearer|credentials?|passw(or)?d|passphrase|secret)"
)
_CREDENTIAL_HEADERS = frozenset(
    (
        "authorization",
        "proxy-authorization",
        "cookie",
        "api-key",
        "apikey",
        "x-api-key",
        "x-api-token",
        "x-auth-token",
        "x-access-token",
        "x-goog-api-key",
        "ocp-apim-subscription-key",
    )
)
_SECRET_HEADER = re.compile(r"(^|-)(key|token|secret|password|auth|authorization|credentials?|signature|cookie)($|-)")

_DEFAULT_WORDS = (
    "", "demo", "changeme", "change-me", "change_me", "test", "testing", "secret", "password", "passw0rd", "default", "example",
    "admin", "root", "user", "guest", "key", "mykey", "my-key", "apikey", "api-key", "token", "letmein", "dummy", "none", "null",
    "empty", "no-key", "not-needed", "xxx", "foo", "bar", "abc", "abc123", "123", "1234", "12345", "123456", "12345678", "switchgear",
    "local", "dev", "development", "ollama", "vllm", "lm-studio", "openai", "llama",
)  # fmt: skip
_PREFIXES = ("", "sk-", "sk-sg-")
DEFAULT_SECRETS: dict[str, str] = {
    sha256(f"{prefix}{word}".encode()).hexdigest(): f"{prefix}{word}" for word in _DEFAULT_WORDS for prefix in _PREFIXES
}
"""SHA-256 of each key that anyone would guess, and the key."""


def is_secret_key(name: str) -> bool:
    """Whether a key of the file is named as if a secret stood there (`api_key`, `token`, `db_password`)."""
    return _SECRET_KEY.fullmatch(name.lower().replace("-", "_")) is not None


def is_credential_header(name: str) -> bool:
    """Whether a header is known to carry a credential and nothing else."""
    return name.lower() in _CREDENTIAL_HEADERS


def is_secret_header(name: str) -> bool:
    """Whether a header is named as if its value were a secret; it is masked wherever it is printed."""
    return is_credential_header(name) or _SECRET_HEADER.search(name.lower()) is not None
