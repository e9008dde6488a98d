"""The protocols that a backend may name. Adding one: its file, its tests, one line here."""

from collections.abc import Callable, Mapping

from switchgear.backends.model import Adapter
from switchgear.backends.openai import OpenAI
from switchgear.core.snapshot import ContinueTurn

AdapterFactory = Callable[[str, str, str, str | None, Mapping[str, str], ContinueTurn], Adapter]
"""Takes: path of the base URL, Host header, request line prefix, API key, further headers, how turns are continued there."""

PROTOCOLS: dict[str, AdapterFactory] = {
    "openai": OpenAI,
}
