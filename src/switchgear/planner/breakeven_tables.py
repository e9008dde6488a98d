"""The answer of `plan breakeven` as rows, for the terminal and for CSV."""

from collections.abc import Iterator, Sequence

from switchgear.planner.breakeven_paper import Cell, Ladder, Reproduction, Step
from switchgear.planner.report_tables import Grid


def paper_grids(answer: Reproduction) -> Iterator[Grid]:
    """What `plan breakeven` prints."""
    services = list(dict.fromkeys(cell.service for cell in answer.cells))
    by_model: dict[str, list[Cell]] = {}
    for cell in answer.cells:
        by_model.setdefault(cell.model, []).append(cell)
    watts = ", ".join(f"{gpu} {value:.0f} W" for gpu, value in answer.watts_in_table.items())
    yield Grid(
        title=f"Months to break even, printed / computed: {answer.source.title}, Table IV",
        head=["model", *services],
        rows=[[model, *map(_both, cells)] for model, cells in by_model.items()],
        note=(
            f"{answer.agreeing} of {len(answer.cells)} cells agree to their last printed digit; ! marks the others. The tables imply "
            f"{answer.hours_per_month_in_table:.0f} hours a month and {watts}; the text says 160 hours, 575 W and 400 W."
        ),
    )
    yield Grid(
        title="As the text states it (160 hours a month, watts of Table II)",
        head=["model", *services],
        rows=[[model, *(f"{cell.stated_months:.1f}" for cell in cells)] for model, cells in by_model.items()],
    )
    yield Grid(
        title="Cells that do not follow from the printed inputs",
        head=[
            "model",
            "service",
            "printed",
            "computed",
            "USD/Mtok of Table I",
            "USD/Mtok that gives the printed months",
        ],
        rows=[_odd(cell) for cell in answer.cells if not cell.agrees],
        left=2,
    )
    yield _ladders(answer)


def _both(cell: Cell) -> str:
    digits = len(cell.printed.partition(".")[2])
    return f"{cell.printed} / {cell.tabulated_months:.{digits}f}{'' if cell.agrees else ' !'}"


def _odd(cell: Cell) -> list[str]:
    prices = [f"{cell.stated_usd_per_mtok:.2f}", f"{cell.implied_usd_per_mtok:.2f}"]
    return [cell.model, cell.service, cell.printed, f"{cell.tabulated_months:.2f}", *prices]


def _ladders(answer: Reproduction) -> Grid:
    own = f"† after the hardware's own end, {answer.life.months} months ({answer.life.source})."
    sources = [
        f"{one.title}: {one.value:g} {one.unit}{' (assumed)' if one.assumed else ''}. {one.source}"
        for one in answer.left_out
    ]
    return Grid(
        title="Months when the costs that the paper leaves out are added, each to those before it",
        head=["model", "against", *(step.added for step in answer.ladders[0].steps)],
        rows=[_ladder(ladder) for ladder in answer.ladders],
        left=2,
        note="\n".join([own, *sources]),
    )


def _ladder(ladder: Ladder) -> list[str]:
    return [ladder.model, ladder.service, *map(_months, ladder.steps)]


def _months(step: Step) -> str:
    if step.months is None:
        return "never"
    return f"{step.months:.1f}{'†' if step.outlives_hardware else ''}"


def paper_csv(answer: Reproduction) -> Iterator[Sequence[object]]:
    """One row for each cell, with its ladder."""
    added = [step.added for step in answer.ladders[0].steps[1:]]
    yield (
        "model",
        "service",
        "printed_months",
        "tabulated_months",
        "stated_months",
        "agrees",
        *(f"months_with_{name}" for name in added),
    )
    for cell, ladder in zip(answer.cells, answer.ladders, strict=True):
        months = ("never" if step.months is None else step.months for step in ladder.steps[1:])
        yield (cell.model, cell.service, cell.printed, cell.tabulated_months, cell.stated_months, cell.agrees, *months)
