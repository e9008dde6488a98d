"""Small plans for tests, as decoded TOML."""

from copy import deepcopy
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples" / "plan"

_TOKENS = {"tokens": {"vendor": "cloud", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 4.0}}
_OWNED = {
    "owned": {
        "vendor": "maker",
        "site": "room",
        "units": 1,
        "price_usd_per_unit": 10_000.0,
        "life_years": 4,
        "tokens_per_second_per_unit": 10_000.0,
        "busy_kw_per_unit": 1.0,
        "idle_kw_per_unit": 0.5,
    }
}


def small() -> dict[str, Any]:
    """A cloud and a server; every figure is round, so that sums can be worked out by hand."""
    return deepcopy(
        {
            "currency": "USD",
            "title": "small",
            "start": "2026-11",
            "horizon_years": 4,
            "discount_rate_per_year": 0.0,
            "baseline": "cloud",
            "workload": {
                "calls_per_month": 1_000_000.0,
                "prompt_tokens_per_call": 1000.0,
                "completion_tokens_per_call": 250.0,
            },
            "sites": {"room": {"usd_per_kwh": 0.1}},
            "options": {
                "cloud": {"kind": "cloud", "places": {"api": _TOKENS}},
                "server": {"kind": "onprem", "places": {"box": _OWNED}},
            },
        }
    )


def owned(plan: dict[str, Any]) -> dict[str, Any]:
    """The table of the server in `small`."""
    return plan["options"]["server"]["places"]["box"]["owned"]  # type: ignore[no-any-return]  # TOML is not typed


def tokens(plan: dict[str, Any]) -> dict[str, Any]:
    """The table of the cloud in `small`."""
    return plan["options"]["cloud"]["places"]["api"]["tokens"]  # type: ignore[no-any-return]  # TOML is not typed
