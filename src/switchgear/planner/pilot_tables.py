"""The answer of `plan pilot` as rows, for the terminal and for CSV."""

from collections.abc import Iterator, Sequence

from switchgear.planner.pilot import Pilot
from switchgear.planner.report_tables import Grid
from switchgear.planner.report_text import percent, usd


def pilot_grids(answer: Pilot) -> Iterator[Grid]:
    """What `plan pilot` prints."""
    yield Grid(
        title=f"Workloads to try on local hardware first: {answer.cloud_calls:,} cloud calls of {answer.days:.1f} days",
        head=[
            "key / team / model",
            "score",
            "calls/month",
            "USD/month",
            "TTFT p95",
            "hours saved/month",
            "leaves: conf.+restr.",
            "not classified",
        ],
        rows=[
            [
                f"{one.key or '–'} / {one.team or '–'} / {one.model}",
                f"{one.score:.2f}",
                f"{one.calls_per_month:,.0f}",
                "unpriced" if one.cloud_usd_per_month is None else usd(one.cloud_usd_per_month),
                "–" if one.ttft_p95_s is None else f"{one.ttft_p95_s:.2f} s",
                f"{one.latency.value:,.1f}",
                percent(one.classes.get("confidential", 0.0) + one.classes.get("restricted", 0.0)),
                percent(one.classes.get("unknown", 0.0)),
            ]
            for one in answer.candidates
        ],
        note="\n".join([f"{answer.others} other workloads were looked at.", *answer.warnings]),
    )
    for one in answer.candidates:
        yield Grid(
            title=f"Measure for {one.key or '–'} / {one.team or '–'} / {one.model}",
            head=["what", "today", "wanted", "how"],
            rows=[[measure.what, measure.today, measure.wanted, measure.how] for measure in one.measure],
            left=4,
        )


def pilot_csv(answer: Pilot) -> Iterator[Sequence[object]]:
    """One row for each workload."""
    yield (
        "key",
        "team",
        "model",
        "score",
        "calls_per_month",
        "cloud_usd_per_month",
        "ttft_p95_s",
        "hours_saved_per_month",
        "weighted_calls_that_leave_per_month",
        "usd_saved_per_month",
    )
    for one in answer.candidates:
        cost = "unpriced" if one.cloud_usd_per_month is None else one.cloud_usd_per_month
        gains = (one.latency.value, one.privacy.value, one.cost.value)
        ttft = "" if one.ttft_p95_s is None else one.ttft_p95_s
        yield (one.key, one.team, one.model, one.score, one.calls_per_month, cost, ttft, *gains)
