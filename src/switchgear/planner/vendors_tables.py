"""The answer of `plan vendors` as rows, for the terminal and for CSV."""

from collections.abc import Iterator, Sequence

from switchgear.planner.report_tables import Grid
from switchgear.planner.report_text import percent
from switchgear.planner.vendors import Ranking
from switchgear.planner.vendors_turn import Turn


def vendor_grids(ranking: Ranking) -> Iterator[Grid]:
    """What `plan vendors` prints."""
    places = len(ranking.ranked)
    yield Grid(
        title=f"{ranking.title}: ranking, {ranking.draws:,} draws of weights and uncertain scores, seed {ranking.seed}",
        head=["vendor", "value", *(f"rank {place + 1}" for place in range(places)), "first, any weights", "unknown"],
        rows=[
            [
                f"{one.rank}. {one.title}",
                f"{one.value:.3f}",
                *(percent(chance) for chance in one.rank_probability),
                percent(one.first_with_any_weights),
                ", ".join(one.unknown) or "–",
            ]
            for one in ranking.ranked
        ],
        note="".join(f"{out.title} is ruled out: {'; '.join(out.why)}\n" for out in ranking.ruled_out).rstrip("\n"),
    )
    if places:
        yield Grid(
            title="By criterion (0 worst, 1 best)",
            head=["criterion", "weight", *(one.title for one in ranking.ranked)],
            rows=[
                [
                    part.criterion,
                    percent(part.weight),
                    *(_part(one.parts[index].score, one.parts[index].value) for one in ranking.ranked),
                ]
                for index, part in enumerate(ranking.ranked[0].parts)
            ],
        )
    if places > 1:
        names = [one.name for one in ranking.ranked]
        yield Grid(
            title="Who is ahead of whom",
            head=["", *names],
            rows=[[left, *(percent(ranking.beats[left].get(right)) for right in names)] for left in names],
        )
        yield Grid(
            title=f"What would bring another level with {ranking.ranked[0].title}",
            head=["vendor", "behind by", "smallest change of one weight", "least weight moved"],
            rows=[_turn(turn) for turn in ranking.turns],
            left=4,
        )


def _turn(turn: Turn) -> list[str]:
    single, moved = "none does it", "no weights do it"
    if turn.one_weight:
        one = turn.one_weight[0]
        single = f"{one.criterion}: {percent(one.now, 1)} to {percent(one.level_at, 1)}"
    if turn.moved is not None:
        moved = f"{percent(turn.moved, 1)} from {', '.join(turn.from_criteria)} to {turn.to_criterion}"
    return [turn.vendor, f"{turn.behind:.3f}", single, moved]


def _part(score: float | None, value: float) -> str:
    return "unknown (0.00)" if score is None else f"{score:g} ({value:.2f})"


def vendor_csv(ranking: Ranking) -> Iterator[Sequence[object]]:
    """One row for each vendor and criterion."""
    yield ("vendor", "rank", "value", "criterion", "weight", "score", "score_value", "source")
    for one in ranking.ranked:
        for part in one.parts:
            score = "" if part.score is None else part.score
            yield (one.name, one.rank, one.value, part.criterion, part.weight, score, part.value, part.source)
