"""Secrets: keys and tokens in the forms that their issuers document, and values that a word like `password` names."""

import base64
import binascii
import math
import re
from collections import Counter

from switchgear.core.screening import Detector
from switchgear.policy.patterns import Shape, value_of

_BITS_PER_CHARACTER = 3.0
"""Random base64 of 20 characters has about 4.1, of hexadecimal 3.4; English words have 2.5 to 3."""
_PLACEHOLDER = re.compile(
    r"x{4}|\*{3}|\.{3}|<|\$[{(]|%[(s]|\{\{|example|changeme|change[_-]me|placeholder|redacted|your|dummy|sample|secret$|password$|token$"
    r"|environ|getenv|process\.env|^[\w.]+\(|^[a-z_.]+$|^[A-Z_]+$|^[A-Z][a-zA-Z]+$",
    re.IGNORECASE | re.ASCII,
)
_LONGEST_KEY = 16_000
"""Characters: an RSA key of 16,384 bits has about 12,700."""
_KEY_BODY = re.compile(r"(?:[A-Za-z0-9+/=\s\\]|(?:Proc-Type|DEK-Info|Comment|Version): [^\n]{1,100}\n)*", re.ASCII)
_LEFT = r"(?<![A-Za-z0-9])"
_RIGHT = r"(?![A-Za-z0-9])"
_NAMES = "api[_\\-]?key|access[_\\-]?key|secret|passw(?:or)?d|passwort|kennwort|pwd|passphrase|credentials?|auth|token"
_SETS = "[ ]{0,3}(?:=>|[:=])[ ]{0,3}|[ ](?:is|ist|lautet)[ ]"
_VALUE = r"[\w!#$%&()*+,\-./:;<>?@^~]"


def _is_jwt(match: re.Match[str]) -> bool:
    """RFC 7515, section 4.1.1: the first part is a JSON object that names its algorithm."""
    head = match[0].partition(".")[0]
    try:
        return b'"alg"' in base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
    except (binascii.Error, ValueError):
        return False


def _is_random(match: re.Match[str]) -> bool:
    """Whether a value is as mixed as a secret is: not a word, a variable or a placeholder."""
    value = value_of(match)
    if value.isalpha() or _PLACEHOLDER.search(value):
        return False
    return _entropy(value) >= min(_BITS_PER_CHARACTER, 0.8 * math.log2(len(value)))


def _entropy(value: str) -> float:
    """Shannon's, bits per character, of the characters as they stand in the value."""
    size = len(value)
    return -sum(count / size * math.log2(count / size) for count in Counter(value).values())


def _end_of_key(text: str, end: int) -> int:
    """The end of its END line (RFC 7468, section 2); without one, of what can be base64 or a header of it."""
    closing = text.find("-----END ", end, end + _LONGEST_KEY)
    if closing >= 0 and (last := text.find("-----", closing + 9, closing + 80)) >= 0:
        return last + 5
    body = _KEY_BODY.match(text, end, end + _LONGEST_KEY)
    return body.end() if body is not None else end


def _token(detector: Detector, core: str, *, after: int = 300) -> Shape:
    return Shape(detector, core, _LEFT, _RIGHT, before=120, after=after)


_PROVIDERS = (
    r"gsk_[A-Za-z0-9]{52}",  # Groq
    r"xai-[A-Za-z0-9]{80}",  # xAI
    r"pplx-[A-Za-z0-9]{48}",  # Perplexity
    r"r8_[A-Za-z0-9]{37}",  # Replicate
    r"nvapi-[A-Za-z0-9_\-]{64}",  # NVIDIA
    r"sk-or-v1-[0-9a-f]{64}",  # OpenRouter
    r"dapi[0-9a-f]{32}(?:-\d)?",  # Databricks
    r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}",  # LangSmith
    r"[sp]k-lf-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",  # Langfuse
    r"SG\.[A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43}",  # SendGrid
    r"do[opr]_v1_[0-9a-f]{64}",  # DigitalOcean
    r"dckr_(?:pat|oat)_[A-Za-z0-9_\-]{27,32}",  # Docker
    r"hvs\.[A-Za-z0-9_\-]{24,120}",  # HashiCorp Vault
    r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}",  # Grafana
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",  # Shopify
    r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}",  # age
    r"sk-sg-[A-Za-z0-9_\-]{43}",  # Switchgear
)
"""Keys of further providers, by the forms that they document."""

SECRETS: tuple[Shape, ...] = (
    _token(Detector.AWS_KEY, r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"),
    Shape(
        Detector.AWS_KEY,
        r"(?i:aws|secret)[\w\x20\"':=.>\-]{0,30}[^A-Za-z0-9/+](?P<v>[A-Za-z0-9/+]{40})",
        "",
        r"(?![A-Za-z0-9/+=])",
        lambda match: _entropy(match["v"]) > 4.0,
    ),
    _token(
        Detector.AZURE_KEY, r"(?:AccountKey|SharedAccessKey)=(?P<v>[A-Za-z0-9+/]{43}(?:[A-Za-z0-9+/]{43}=)?=)"
    )._replace(right=""),
    _token(Detector.AZURE_KEY, r"[?&]sig=(?P<v>(?:[A-Za-z0-9]|%[0-9A-Fa-f]{2}){43,60}(?:%3D|=))")._replace(
        left="", right=""
    ),
    _token(Detector.AZURE_KEY, r"[A-Za-z0-9_~.\-]{3}[78]Q~[A-Za-z0-9_~.\-]{31,34}")._replace(right=r"(?![\w~.-])"),
    _token(Detector.GOOGLE_KEY, r"AIza[A-Za-z0-9_\-]{35}"),
    _token(Detector.GOOGLE_KEY, r"GOCSPX-[A-Za-z0-9_\-]{28}"),
    _token(Detector.GOOGLE_KEY, r"ya29\.[A-Za-z0-9_\-]{20,400}")._replace(
        candidate=r"ya29\.[A-Za-z0-9_\-]{20}", after=400
    ),
    _token(Detector.OPENAI_KEY, r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_\-]{20,200}")._replace(
        candidate=r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_\-]{20}"
    ),
    _token(Detector.OPENAI_KEY, r"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"),
    _token(Detector.OPENAI_KEY, r"sk-[A-Za-z0-9]{48}"),
    _token(Detector.ANTHROPIC_KEY, r"sk-ant-[a-z]{3,6}\d{2}-[A-Za-z0-9_\-]{20,200}")._replace(
        candidate=r"sk-ant-[a-z]{3,6}\d{2}-[A-Za-z0-9_\-]{20}"
    ),
    _token(Detector.HUGGINGFACE_TOKEN, r"hf_[A-Za-z]{34}"),
    _token(Detector.GITHUB_TOKEN, r"gh[pousr]_[A-Za-z0-9]{36,255}")._replace(candidate=r"gh[pousr]_[A-Za-z0-9]{36}"),
    _token(Detector.GITHUB_TOKEN, r"github_pat_[A-Za-z0-9_]{22,255}")._replace(
        candidate=r"github_pat_[A-Za-z0-9_]{22}"
    ),
    _token(
        Detector.GITLAB_TOKEN,
        r"gl(?:pat|ptt|dt|rt|cbt|ft|soat|imt|agent|oas|ffct)-[A-Za-z0-9_\-]{20,64}(?:\.[\w.]{2,20})?",
    )._replace(candidate=r"gl(?:pat|ptt|dt|rt|cbt|ft|soat|imt|agent|oas|ffct)-[A-Za-z0-9_\-]{20}"),
    _token(Detector.SLACK_TOKEN, r"xox[abeoprs]-[A-Za-z0-9\-]{10,250}")._replace(
        candidate=r"xox[abeoprs]-[A-Za-z0-9\-]{10}"
    ),
    _token(Detector.SLACK_TOKEN, r"xapp-\d-[A-Z0-9]{8,16}-\d{8,16}-[A-Za-z0-9]{32,80}")._replace(
        candidate=r"xapp-\d-[A-Z0-9]{8}"
    ),
    _token(
        Detector.SLACK_TOKEN,
        r"hooks\.slack\.com/(?:services|workflows)/(?P<v>T[A-Z0-9]{8,12}/[A-Z0-9]{8,12}/[A-Za-z0-9]{20,32})",
    ),
    _token(Detector.STRIPE_KEY, r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,250}")._replace(
        candidate=r"[sr]k_(?:live|test)_[A-Za-z0-9]{16}"
    ),
    _token(Detector.STRIPE_KEY, r"whsec_[A-Za-z0-9+/]{32,64}={0,2}")._replace(candidate=r"whsec_[A-Za-z0-9+/]{32}"),
    _token(Detector.NPM_TOKEN, r"npm_[A-Za-z0-9]{36}"),
    _token(Detector.PYPI_TOKEN, r"pypi-AgE[A-Za-z0-9_\-]{50,250}")._replace(candidate=r"pypi-AgE[A-Za-z0-9_\-]{50}"),
    *(_token(Detector.PROVIDER_KEY, form) for form in _PROVIDERS),
    Shape(
        Detector.PRIVATE_KEY,
        r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----",
        "",
        "",
        extend=_end_of_key,
        before=90,
        after=0,
    ),
    Shape(
        Detector.JWT,
        r"eyJ[A-Za-z0-9_\-]{8,1000}\.eyJ[A-Za-z0-9_\-]{8,6000}\.[A-Za-z0-9_\-]{0,1000}",
        _LEFT,
        r"(?![A-Za-z0-9_-])",
        _is_jwt,
        before=1_010,
        after=7_100,
        candidate=r"[A-Za-z0-9_\-]\.eyJ[A-Za-z0-9_\-]{8}",
    ),
    Shape(
        Detector.GENERIC_SECRET,
        r"[a-z][a-z0-9+.\-]{1,15}://[^\s/:@\"'<>]{1,60}:(?P<v>[^\s/:@\"'<>{}$]{3,80})@[\w\[]",
        "",
        "",
        after=10,
        candidate=r"://[^\s/:@\"'<>]{1,60}:[^\s/:@\"'<>{}$]{3,80}@[\w\[]",
        before=180,
    ),
)

NAMED_SECRETS: tuple[Shape, ...] = (
    Shape(
        Detector.GENERIC_SECRET,
        rf"(?i:{_NAMES})[\w\-]{{0,20}}[\"']?(?:{_SETS})[\"'`]?(?P<v>{_VALUE}{{8,120}}={{0,2}})",
        r"(?<![A-Za-z])",
        "",
        _is_random,
        after=120,
        candidate=rf"(?i:{_NAMES})[\w\-]{{0,20}}[\"']?(?:{_SETS})[\"'`]?{_VALUE}{{8}}",
    ),
    Shape(
        Detector.GENERIC_SECRET,
        rf"(?i:bearer|basic)[ ](?P<v>{_VALUE}{{16,500}}={{0,2}})",
        r"(?<![A-Za-z])",
        "",
        _is_random,
        after=500,
        candidate=rf"(?i:bearer|basic)[ ]{_VALUE}{{16}}",
    ),
)
