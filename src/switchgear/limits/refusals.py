"""What a refusal says: which limit, what of it is used up, what to do, and when to come back."""

from switchgear.limits.model import NANO, Counter, Measure, Refusal, RefusalCode

_ASK_AGAIN_S = 0.02
_DATABASE_AGAIN_S = 2.0
_OF = {
    Measure.REQUESTS: "requests per minute",
    Measure.TOKENS: "tokens per minute",
    Measure.IN_FLIGHT: "calls in flight",
    Measure.USD_DAY: "US dollars a day",
    Measure.USD_MONTH: "US dollars a month",
}
_CODES = {
    Measure.REQUESTS: RefusalCode.RATE,
    Measure.TOKENS: RefusalCode.RATE,
    Measure.IN_FLIGHT: RefusalCode.IN_FLIGHT,
    Measure.USD_DAY: RefusalCode.BUDGET,
    Measure.USD_MONTH: RefusalCode.BUDGET,
}
_REMEDIES = {
    Measure.REQUESTS: "Send fewer calls, or come back after the time that Retry-After gives.",
    Measure.TOKENS: "Send shorter prompts or a lower max_tokens, or come back after the time that Retry-After gives.",
    Measure.IN_FLIGHT: "Have fewer calls under way at a time; one that ends makes room.",
    Measure.USD_DAY: "Wait for the next day (UTC), use a cheaper model, or have usd_per_day raised.",
    Measure.USD_MONTH: "Wait for the next month (UTC), use a cheaper model, or have usd_per_month raised.",
}


def exhausted(counter: Counter, retry_after_s: float) -> Refusal:
    """The bound is reached."""
    return Refusal(
        _CODES[counter.measure],
        counter.limit,
        counter.measure,
        f"The limit {counter.limit!r} allows {_bound(counter)} for {counter.scope}, and too little of it is left for this call.",
        _REMEDIES[counter.measure],
        retry_after_s,
    )


def too_large(counter: Counter, need: int) -> Refusal:
    """One call wants more than the whole bound."""
    remedy = "Have the limit raised."
    if counter.bound > 0:
        remedy = f"Send a shorter prompt or a lower max_tokens, or have {counter.measure.value} raised."
    return Refusal(
        RefusalCode.TOO_LARGE,
        counter.limit,
        counter.measure,
        f"The limit {counter.limit!r} allows {_bound(counter)} for {counter.scope}; this call alone may use {need / counter.unit:g}.",
        remedy,
    )


def unpriced(counter: Counter) -> Refusal:
    """A budget applies to a call whose cost nobody knows."""
    return Refusal(
        RefusalCode.UNPRICED,
        counter.limit,
        counter.measure,
        f"The limit {counter.limit!r} is a budget for {counter.scope}, and no price is known for this call.",
        "Have the prices of the model's targets configured; an unknown price does not count as zero.",
    )


def unshared(counter: Counter) -> Refusal:
    """Workers cannot reach the counter that they share."""
    return Refusal(
        RefusalCode.UNSHARED,
        counter.limit,
        counter.measure,
        f"The limit {counter.limit!r} cannot be checked: the database that keeps it is not reachable and this worker's share is used up.",
        'Come back shortly. Operators: see the log for the database\'s error; on_failure = "open" lets calls through meanwhile.',
        _DATABASE_AGAIN_S,
    )


def pending(counter: Counter) -> Refusal:
    """There may be room, but this worker has to fetch its share first."""
    return Refusal(
        RefusalCode.PENDING,
        counter.limit,
        counter.measure,
        f"The share of the limit {counter.limit!r} is being fetched.",
        "Come back shortly.",
        _ASK_AGAIN_S,
    )


def _bound(counter: Counter) -> str:
    return f"{counter.bound / NANO if counter.unit == NANO else counter.bound:g} {_OF[counter.measure]}"
