"""The snapshot: all that a data plane needs to serve. Immutable; a change is another snapshot.

The structures are those of the configuration file (a contract, see docs/configuration.md): a key there is a field here.
"""

import hashlib
from enum import StrEnum
from typing import Annotated

import msgspec

from switchgear.core.authorization import Authorization, Jurisdiction, Word
from switchgear.core.caching import CacheSettings, LastResort, ModelCache
from switchgear.core.data_class import DataClass
from switchgear.core.escalation import Escalate
from switchgear.core.health import Energy, HealthSource
from switchgear.core.identity import Certificate, Key, OidcProvider
from switchgear.core.limits import FairShare, Limit, LimitSharing
from switchgear.core.part import Amount, Count, Name, Part, Ratio, Seconds
from switchgear.core.screening import Screening

__all__ = [
    "Amount",
    "Backend",
    "BackendTls",
    "Breaker",
    "Capabilities",
    "ContinueTurn",
    "Count",
    "Delivery",
    "Endpoint",
    "Hedge",
    "Key",
    "Kind",
    "Model",
    "Name",
    "Part",
    "Prices",
    "Ratio",
    "Retry",
    "Seconds",
    "Snapshot",
    "Target",
    "Timeouts",
    "decode_snapshot",
    "encode_snapshot",
    "make_snapshot",
]


class Kind(StrEnum):
    """What sort of place a backend is."""

    CLOUD = "cloud"
    ONPREM = "onprem"
    APPLIANCE = "appliance"
    EDGE = "edge"


class Endpoint(StrEnum):
    """What a call asks for; the value is the path below `/v1/`."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"


class Delivery(StrEnum):
    """When the caller gets a streamed answer: as it comes, or only once it is whole (then no failure can break it)."""

    STREAM = "stream"
    WHOLE = "whole"


class ContinueTurn(StrEnum):
    """Whether, and how, a backend goes on with an assistant turn that the request ends with."""

    NO = "no"
    PREFILL = "prefill"
    """A last message of role assistant is continued (llama.cpp, Anthropic)."""
    FLAG = "continue_final_message"
    """The same, when `continue_final_message` is set and `add_generation_prompt` is not (vLLM, SGLang)."""


class Prices(Part, frozen=True, kw_only=True):
    """What the place charges, US dollars. Without prices a call there is `unpriced`, never free."""

    input_usd_per_mtok: Amount
    """A million prompt tokens."""
    output_usd_per_mtok: Amount
    """A million completion tokens."""
    cached_input_usd_per_mtok: Amount | None = None
    """A million prompt tokens that the backend reports as cached; the price of input where not given."""


class Timeouts(Part, frozen=True, kw_only=True):
    """How long one attempt may wait, seconds."""

    connect_s: Seconds = 2.0
    """Until the connection stands, TLS included."""
    first_token_s: Seconds = 10.0
    """Until the first token of a streamed answer."""
    idle_s: Seconds = 10.0
    """Between two pieces of a streamed answer."""
    total_s: Seconds = 120.0
    """Until the answer is whole."""


class Breaker(Part, frozen=True, kw_only=True):
    """When a target counts as broken. A call counts when it is complete, not when its stream opens."""

    window_s: Seconds = 30.0
    """Calls of this many last seconds are looked at."""
    min_calls: Count = 5
    """Fewer calls than this in the window say nothing."""
    failure_ratio: Ratio = 0.5
    """Opens when at least this share of them failed or was slow."""
    consecutive: Count = 5
    """Opens as well when this many calls failed in a row, however many went well before."""
    slow_call_s: Seconds | None = None
    """A call that took longer counts like a failed one; without it none is slow."""
    open_s: Seconds = 10.0
    """How long an open breaker stays so before one probe is let through."""


class Capabilities(Part, frozen=True, kw_only=True):
    """What a backend can do. A target that lacks what a call needs is ruled out, never tried in hope."""

    endpoints: tuple[Endpoint, ...] = tuple(Endpoint)
    """Paths that it serves."""
    tools: bool = True
    """Tool calls."""
    images: bool = True
    """Images in messages."""
    json_schema: bool = True
    """Answers held to a JSON schema."""
    logprobs: bool = True
    """Log-probabilities of tokens."""
    context_window: Count | None = None
    """Tokens of prompt and answer together; without it no call is too long."""
    continue_turn: ContinueTurn = ContinueTurn.NO
    """Whether a broken answer can be continued there."""
    stream_usage: bool = True
    """The field `stream_options`, by which streams are asked for their usage; without it their usage is estimated."""
    bytes_per_token: Annotated[float, msgspec.Meta(gt=0)] = 4.0
    """For estimates where the backend reports no usage: bytes of text that make one token."""


class BackendTls(Part, frozen=True, kw_only=True):
    """How to trust, and be trusted by, a backend that is reached by https."""

    ca: str | None = None
    """PEM file of the authority that signed its certificate; the system's authorities where not given."""
    verify: bool = True
    """Whether its certificate is verified at all."""
    cert: str | None = None
    """PEM file of our client certificate."""
    key: str | None = None
    """PEM file of that certificate's key."""


class Backend(Part, frozen=True, kw_only=True):
    """One place that runs inference."""

    kind: Kind
    """cloud, onprem, appliance or edge."""
    base_url: str
    """Where its API begins, for example http://10.0.0.5:8000/v1, or unix:/path/to/socket."""
    protocol: str = "openai"
    """The adapter that writes calls to it and reads its answers."""
    api_key_env: str | None = None
    """Environment variable that holds its API key."""
    api_key_file: str | None = None
    """File that holds its API key."""
    region: str = ""
    """Where it stands."""
    jurisdiction: Jurisdiction = ""
    """Whose law it is under, widest first: `EU`, or `EU/DE`, which is in the EU as well. Empty: not known."""
    labels: tuple[Word, ...] = ()
    """Words of your own that policies may ask for."""
    attested: bool = False
    """Whether it proved what it runs. Not known is not attested."""
    max_in_flight: Count = 1024
    """Calls that one worker may have there at a time."""
    prices: Prices | None = None
    timeouts: Timeouts = Timeouts()
    capabilities: Capabilities = Capabilities()
    probe: bool = False
    """Ask its `/models` at the start for what it says of itself (context window), where the configuration does not."""
    breaker: Breaker = Breaker()
    health: HealthSource | None = None
    """Where its hardware tells how it is; without it that is unknown, never fine."""
    energy: Energy | None = None
    """What a call costs there in joules, and what its electricity is made of."""
    tls: BackendTls = BackendTls()
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """Further headers for each request there."""


class Target(Part, frozen=True, kw_only=True):
    """A backend together with the model's name there."""

    backend: str
    """Name of a backend."""
    model: str
    """The model's name at that backend."""
    weight: Amount = 1.0
    """Share of the calls with strategy `weighted`."""
    prices: Prices | None = None
    """Prices of this model there, instead of the backend's."""
    context_window: Count | None = None
    """Context window of this model there, instead of the backend's."""


class Retry(Part, frozen=True, kw_only=True):
    """How often one call is tried. Retries and fallbacks together never exceed the budget."""

    attempts: Count = 3
    """Attempts of one call, the first included."""
    backoff_s: Seconds = 0.2
    """The wait before a second try of the same target is drawn from 0 to this, doubled each time (full jitter)."""
    max_backoff_s: Seconds = 5.0
    """Where the doubling ends."""
    budget_ratio: Ratio = 0.2
    """Further attempts may be at most this share of the calls in the window."""
    budget_floor: Annotated[int, msgspec.Meta(ge=0)] = 10
    """That many further attempts in the window are allowed in any case."""
    window_s: Seconds = 10.0
    """Length of the sliding window."""


class Hedge(Part, frozen=True, kw_only=True):
    """Ask a second target when the first is slow; the first whole answer wins. Give one of the two times."""

    after_s: Seconds | None = None
    """Seconds after which the second is asked."""
    after_percentile: Annotated[float, msgspec.Meta(gt=0, lt=100)] | None = None
    """The same as a percentile of the first target's recent times."""
    max_ratio: Ratio = 0.1
    """At most this share of the calls is hedged."""


class Model(Part, frozen=True, kw_only=True):
    """The name that an app calls, and where such calls may go."""

    targets: tuple[Target, ...]
    """In order of preference."""
    strategy: str = "priority"
    """How the targets are ordered for a call: priority, weighted, latency, cost, least-loaded, headroom or energy."""
    retry: Retry = Retry()
    hedge: Hedge | None = None
    delivery: Delivery = Delivery.STREAM
    """`whole` holds a streamed answer back until it is complete."""
    rescue: bool = True
    """Whether a stream that broke after its first byte is carried on by another target."""
    deadline_s: Seconds = 300.0
    """For the whole chain of attempts, seconds."""
    max_cost_usd: Amount | None = None
    """For the whole chain of attempts, US dollars, by estimate before each; targets without prices are then ruled out."""
    labels: tuple[Word, ...] = ()
    """Words of your own that policies may ask for."""
    data_class: DataClass | None = None
    """What its calls carry at least: public, internal, confidential or restricted."""
    cache: ModelCache | None = None
    """Keep answers, and give them again to calls that say the same. See docs/cache.md."""
    escalate: Escalate | None = None
    """Ask another model where the answer of this one is unsure. See docs/escalate.md."""
    last_resort: tuple[LastResort, ...] = ()
    """What is given, in this order, when no target can answer. See docs/cache.md."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What a data plane serves from. Made by `make_snapshot`, which gives it the id of its content."""

    id: str
    backends: dict[str, Backend]
    models: dict[str, Model]
    keys: tuple[Key, ...]
    oidc: dict[str, OidcProvider] = {}
    certificates: tuple[Certificate, ...] = ()
    authorization: Authorization = Authorization()
    limits: tuple[Limit, ...] = ()
    fair_share: FairShare | None = None
    limit_sharing: LimitSharing = LimitSharing()
    screen: Screening | None = None
    cache: CacheSettings = CacheSettings()


def make_snapshot(
    backends: dict[str, Backend],
    models: dict[str, Model],
    keys: tuple[Key, ...],
    *,
    oidc: dict[str, OidcProvider] | None = None,
    certificates: tuple[Certificate, ...] = (),
    authorization: Authorization | None = None,
    limits: tuple[Limit, ...] = (),
    fair_share: FairShare | None = None,
    limit_sharing: LimitSharing | None = None,
    screen: Screening | None = None,
    cache: CacheSettings | None = None,
) -> Snapshot:
    """A snapshot whose id is the first 12 hexadecimal digits of the SHA-256 of its content: same content, same id."""
    made = Snapshot(
        id="",
        backends=backends,
        models=models,
        keys=keys,
        oidc=oidc or {},
        certificates=certificates,
        authorization=authorization or Authorization(),
        limits=limits,
        fair_share=fair_share,
        limit_sharing=limit_sharing or LimitSharing(),
        screen=screen,
        cache=cache or CacheSettings(),
    )
    content = msgspec.msgpack.Encoder(order="deterministic").encode(made)
    return msgspec.structs.replace(made, id=hashlib.sha256(content).hexdigest()[:12])


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """For disk and wire: MessagePack."""
    return msgspec.msgpack.encode(snapshot)


def decode_snapshot(data: bytes) -> Snapshot:
    """Read what `encode_snapshot` wrote. Raises msgspec.ValidationError or msgspec.DecodeError."""
    return msgspec.msgpack.decode(data, type=Snapshot)
