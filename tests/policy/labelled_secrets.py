"""Secrets for the labelled set: keys that a library makes, and tokens by the form that their issuer documents, drawn at random."""

import base64
import json
import random
import string
import uuid
from collections.abc import Callable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from tests.policy import published

from switchgear.cli.key import new_key
from switchgear.core.screening import Detector

Source = tuple[Detector, str, Callable[[], str], tuple[str, ...]]
_ALNUM = string.ascii_letters + string.digits
_URL = _ALNUM + "-_"
_RNG = random.Random(3)


def _draw(alphabet: str, size: int) -> str:
    return "".join(_RNG.choices(alphabet, k=size))


def _jwt() -> str:
    parts = (
        {"alg": "RS256", "kid": _draw(_ALNUM, 8), "typ": "JWT"},
        {"sub": _draw(string.digits, 10), "exp": 1_800_000_000},
    )
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return ".".join((*encoded, _draw(_URL, 342)))


def _pem(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, form: serialization.PrivateFormat, secret: bytes = b""
) -> str:
    hidden = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, hidden).decode().strip()


def _private_keys() -> list[str]:
    on_curve, edwards = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    return [
        _pem(on_curve, serialization.PrivateFormat.PKCS8),
        _pem(on_curve, serialization.PrivateFormat.TraditionalOpenSSL),
        _pem(on_curve, serialization.PrivateFormat.OpenSSH),
        _pem(edwards, serialization.PrivateFormat.PKCS8, b"hidden"),
    ]


_BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
"""Of BIP 173, in capitals."""
_UPPER32 = string.ascii_uppercase + "234567"


def _hex(size: int) -> str:
    return _draw(string.hexdigits[:16], size)


def _memorable() -> str:
    return _draw(string.ascii_lowercase, 6) + _draw(string.digits, 3) + "!" + _draw(string.ascii_uppercase, 2)


_FORMS: tuple[tuple[Detector, Callable[[], str], str], ...] = (
    (Detector.AWS_KEY, lambda: "AKIA" + _draw(_UPPER32, 16), "aws_access_key_id = {}"),
    (Detector.AWS_KEY, lambda: "ASIA" + _draw(_UPPER32, 16), "AWS_ACCESS_KEY_ID={}"),
    (Detector.AZURE_KEY, lambda: _draw(_URL, 3) + "8Q~" + _draw(_ALNUM + "_.~-", 33) + "a", "client secret {}"),
    (Detector.GOOGLE_KEY, lambda: "AIza" + _draw(_URL, 34) + "x", "key={}"),
    (Detector.GOOGLE_KEY, lambda: "GOCSPX-" + _draw(_URL, 27) + "x", "client_secret: {}"),
    (Detector.OPENAI_KEY, lambda: "sk-proj-" + _draw(_URL, 63) + "x", "OPENAI_API_KEY={}"),
    (Detector.OPENAI_KEY, lambda: f"sk-{_draw(_ALNUM, 20)}T3BlbkFJ{_draw(_ALNUM, 20)}", "api_key='{}'"),
    (Detector.ANTHROPIC_KEY, lambda: "sk-ant-api03-" + _draw(_URL, 92) + "xAA", "ANTHROPIC_API_KEY={}"),
    (Detector.HUGGINGFACE_TOKEN, lambda: "hf_" + _draw(string.ascii_letters, 34), "token {}"),
    (Detector.GITHUB_TOKEN, lambda: f"gh{_RNG.choice('pousr')}_{_draw(_ALNUM, 36)}", "token: {}"),
    (
        Detector.GITHUB_TOKEN,
        lambda: f"github_pat_{_draw(_ALNUM, 22)}_{_draw(_ALNUM, 59)}",
        "git clone https://{}@host/r",
    ),
    (Detector.GITLAB_TOKEN, lambda: "glpat-" + _draw(_URL, 19) + "x", "PRIVATE-TOKEN: {}"),
    (
        Detector.SLACK_TOKEN,
        lambda: f"xoxb-{_draw(string.digits, 12)}-{_draw(string.digits, 12)}-{_draw(_ALNUM, 24)}",
        "slack {}",
    ),
    (
        Detector.STRIPE_KEY,
        lambda: f"{_RNG.choice(('sk_live', 'rk_live', 'sk_test'))}_{_draw(_ALNUM, 24)}",
        "api_key = '{}'",
    ),
    (Detector.NPM_TOKEN, lambda: "npm_" + _draw(_ALNUM, 36), "//host/:_authToken={}"),
    (Detector.PYPI_TOKEN, lambda: "pypi-AgEIcHlwaS5vcmcC" + _draw(_URL, 150) + "x", "password = {}"),
    (Detector.PROVIDER_KEY, lambda: "gsk_" + _draw(_ALNUM, 52), "GROQ_API_KEY={}"),
    (Detector.PROVIDER_KEY, lambda: "xai-" + _draw(_ALNUM, 80), "XAI_API_KEY={}"),
    (Detector.PROVIDER_KEY, lambda: "pplx-" + _draw(_ALNUM, 48), "PPLX={}"),
    (Detector.PROVIDER_KEY, lambda: "r8_" + _draw(_ALNUM, 37), "replicate {}"),
    (Detector.PROVIDER_KEY, lambda: "nvapi-" + _draw(_URL, 63) + "x", "nvidia: {}"),
    (Detector.PROVIDER_KEY, lambda: "sk-or-v1-" + _hex(64), "OPENROUTER_API_KEY={}"),
    (Detector.PROVIDER_KEY, lambda: "dapi" + _hex(32) + "-2", "databricks {}"),
    (Detector.PROVIDER_KEY, lambda: f"lsv2_pt_{_hex(32)}_{_hex(10)}", "LANGSMITH={}"),
    (Detector.PROVIDER_KEY, lambda: f"sk-lf-{uuid.UUID(int=_RNG.getrandbits(128), version=4)}", "langfuse {}"),
    (Detector.PROVIDER_KEY, lambda: f"SG.{_draw(_URL, 22)}.{_draw(_URL, 42)}x", "sendgrid {}"),
    (Detector.PROVIDER_KEY, lambda: "dop_v1_" + _hex(64), "DO={}"),
    (Detector.PROVIDER_KEY, lambda: "dckr_pat_" + _draw(_URL, 26) + "x", "docker login -p {}"),
    (Detector.PROVIDER_KEY, lambda: "hvs." + _draw(_ALNUM, 24), "VAULT={}"),
    (Detector.PROVIDER_KEY, lambda: f"glsa_{_draw(_ALNUM, 32)}_{_hex(8)}", "grafana {}"),
    (Detector.PROVIDER_KEY, lambda: "shpat_" + _hex(32), "shopify {}"),
    (Detector.PROVIDER_KEY, lambda: "AGE-SECRET-KEY-1" + _draw(_BECH32, 58), "{}"),
    (Detector.PROVIDER_KEY, new_key, "SWITCHGEAR={}"),
    (Detector.JWT, _jwt, "Authorization: Bearer {}"),
    (Detector.GENERIC_SECRET, lambda: _draw(_ALNUM, 32), "api_key = '{}'"),
    (Detector.GENERIC_SECRET, lambda: _hex(40), '"client_secret": "{}",'),
    (Detector.GENERIC_SECRET, lambda: _draw(_ALNUM + "!#%*+-", 15) + "7", "DB_PASSWORD={}"),
    (Detector.GENERIC_SECRET, _memorable, "the password is {}"),
    (Detector.GENERIC_SECRET, lambda: _draw(_ALNUM, 15) + "4", "redis://default:{}@cache.internal:6379/0"),
)


def sources() -> list[Source]:
    """Type, where from, a maker of values, and a text that names it."""
    keys = iter(_private_keys() * 9)
    published_jwts = iter(published.JWTS * 9)
    return [
        *((kind, "documented form", make, (text,)) for kind, make, text in _FORMS),
        (Detector.PRIVATE_KEY, "cryptography", lambda: next(keys), ("Here is the key:\n{}\nDo not share it.",)),
        (Detector.JWT, "published", lambda: next(published_jwts), ("id_token={}",)),
    ]
