"""The HTML report of `plan compare`: one file, no script, nothing fetched. A manager reads its beginning, an engineer checks the rest.

Every number of the comparison is a link to the entry that made it: an input with its source, or a formula over other entries.
"""

import re
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Final

from switchgear.planner.compare import Comparison, OptionResult, group_id
from switchgear.planner.money_quantity import FUNCTIONS, Entry
from switchgear.planner.montecarlo import MonteCarlo, OptionSpread
from switchgear.planner.montecarlo_sensitivity import Sensitivity
from switchgear.planner.report_html import figure, heading, right_cell, table
from switchgear.planner.report_speed import how_fast, simulation_inputs
from switchgear.planner.report_svg import Bar, Box, Swing, bars, boxes, lines, tornado
from switchgear.planner.report_text import (
    break_even,
    group_costs,
    number,
    payback,
    percent,
    rate_of_return,
    short_usd,
    usd,
)
from switchgear.planner.tco_model import GROUPS

if TYPE_CHECKING:
    from switchgear.planner.compare_simulated import Simulated  # it brings the simulator with it

_NAME: Final = re.compile(r"[A-Za-z_][\w.]*")
_SHOWN: Final = 10
"""Assumptions in the tornado."""


def html_report(
    comparison: Comparison,
    spread: MonteCarlo | None = None,
    drivers: Sensitivity | None = None,
    made_with: str = "switchgear",
    simulated: "Simulated | None" = None,
) -> str:
    """The whole page. Without `spread` and `drivers` it says that nothing was drawn, without `simulated` nothing of times."""
    style = resources.files("switchgear.planner").joinpath("report.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    parts = [
        _summary(comparison, spread, drivers),
        _options_table(comparison),
        how_fast(simulated),
        _by_kind(comparison, spread),
        _over_time(comparison),
        _sureness(comparison, spread),
        _drivers(drivers),
        _methods(comparison, spread, drivers),
        _inputs(comparison),
        simulation_inputs(simulated),
        _results(comparison),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(comparison.title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<meta name="generator" content="{escape(made_with)}"><link rel="icon" href="data:,"><style>\n{style}</style></head>\n'
        f"<body><main>\n{chr(10).join(parts)}\n</main></body></html>\n"
    )


def _anchor(id: str) -> str:
    return f"e-{id}"


def _linked(entries: dict[str, Entry], id: str, text: str) -> str:
    return f'<a class="n" href="#{_anchor(id)}">{escape(text)}</a>' if id in entries else escape(text)


def _summary(comparison: Comparison, spread: MonteCarlo | None, drivers: Sensitivity | None) -> str:
    by_name = {result.name: result for result in comparison.options}
    best, base = by_name[comparison.cheapest], by_name[comparison.baseline]
    entries = comparison.entries
    present = _linked(entries, f"{best.name}.present_value", usd(best.present_value_usd))
    sentences = [
        f"Over {comparison.horizon_years} years, <b>{escape(best.title)}</b> costs least: {present} in present value."
    ]
    if best is base:
        rest = [result for result in comparison.options if result is not base]
        second = min(rest, key=lambda result: result.present_value_usd)
        more = _linked(entries, f"{second.name}.saving", usd(-(second.saving_usd or 0.0)))
        sentences.append(
            f"It is what the others are compared with. The next, {escape(second.title)}, costs {more} more."
        )
    else:
        saved = _linked(entries, f"{best.name}.saving", usd(best.saving_usd or 0.0))
        sentences.append(f"That is {saved} less than {escape(base.title)}; the money is back after {payback(best)}.")
    if spread is not None:
        chances = {one.name: one.cheapest for one in spread.options}
        sentences.append(
            f"With all that is uncertain drawn {spread.draws:,} times, it is the cheapest in "
            f'<a href="#sure">{percent(chances[best.name])}</a> of them.'
        )
    if drivers is not None and drivers.influences:
        top = drivers.influences[0]
        link = _linked(entries, top.id, top.id.replace("_", " ").replace(".", ", "))
        sentences.append(f"What decides most between {escape(drivers.option)} and {escape(base.name)}: {link}.")
    guesses = sum(entry.assumed for entry in entries.values())
    tiles = [
        (
            _linked(entries, f"{result.name}.usd_per_call", f"${result.usd_per_call:.3g}"),
            f"a call, {escape(result.name)}",
        )
        for result in comparison.options
    ]
    tiles.append((f'<a class="n" href="#inputs">{guesses}</a>', "inputs are assumed, not measured or quoted"))
    boxes_html = "".join(f'<div class="tile"><b>{value}</b><span>{label}</span></div>' for value, label in tiles)
    return (
        f"<header><h1>{escape(comparison.title)}</h1>"
        f'<p class="sub">{len(comparison.options)} options, {comparison.horizon_years} years from {escape(comparison.start)}, '
        f"all sums in US dollars (USD), discounted at "
        f"{_linked(entries, 'discount_rate_per_year', percent(comparison.discount_rate_per_year, 1))} a year, "
        f"compared with {escape(comparison.baseline)}</p></header>"
        f'<p>{" ".join(sentences)}</p><div class="tiles">{boxes_html}</div>'
        '<p class="note">Each underlined number leads to how it was made: its formula, and the inputs of that with their sources.</p>'
    )


def _options_table(comparison: Comparison) -> str:
    entries, prices, against = comparison.entries, [], []
    for one in comparison.options:
        best = ' class="best"' if one.name == comparison.cheapest else ""
        title = f"<td>{escape(one.title)} <span class=tag>{escape(_tag(one))}</span></td>"
        cells = [
            right_cell(_linked(entries, f"{one.name}.present_value", usd(one.present_value_usd))),
            right_cell(_linked(entries, f"{one.name}.usd_per_call", usd(one.usd_per_call))),
            right_cell(_linked(entries, f"{one.name}.usd_per_mtok", usd(one.usd_per_mtok))),
        ]
        prices.append(f"<tr{best}>{title}{''.join(cells)}</tr>")
        if one.saving_usd is not None:
            cells = [
                right_cell(_linked(entries, f"{one.name}.saving", usd(one.saving_usd))),
                right_cell(_method(one, "m-payback", payback(one))),
                right_cell(_method(one, "m-irr", rate_of_return(one))),
                right_cell(_method(one, "m-breakeven", break_even(one.break_even))),
            ]
            against.append(f"<tr{best}><td>{escape(one.name)}</td>{''.join(cells)}</tr>")
    head = heading(["Option"], ["Present value", "A call", "A million tokens"])
    second = heading([f"Against {comparison.baseline}"], ["Saving (NPV)", "Payback", "IRR", "Break-even"])
    return f'<h2 id="options">The options</h2>{table(head, prices)}{table(second, against)}{_by_year(comparison)}'


def _by_year(comparison: Comparison) -> str:
    numbers = [str(year) for year in range(1, comparison.horizon_years + 1)]
    paid = [_year_row(comparison, one, "paid") for one in comparison.options]
    spent = [_year_row(comparison, one, "cost") for one in comparison.options]
    return (
        '<h3>By year</h3><p class="note">Paid is cash that leaves. Cost spreads purchases over their use: depreciation and interest '
        "instead of price and repayment. Over all years both come to the same.</p>"
        f"{table(heading(['Paid in year'], [*numbers, 'In all']), paid)}"
        f"{table(heading(['Cost of year'], [*numbers, 'A call in the last year']), spent)}"
    )


def _tag(result: OptionResult) -> str:
    return result.name if result.name == result.kind else f"{result.name}, {result.kind}"


def _method(result: OptionResult, anchor: str, text: str) -> str:
    return text if text == "–" else f'<a class="n" href="#{anchor}-{escape(result.name)}">{escape(text)}</a>'


def _year_row(comparison: Comparison, result: OptionResult, what: str) -> str:
    entries = comparison.entries
    cells = []
    for year in result.years:
        value = year.paid_usd if what == "paid" else year.cost_usd
        cells.append(right_cell(_linked(entries, f"{result.name}.{what}.y{year.year}", usd(value))))
    if what == "paid":
        last = _linked(entries, f"{result.name}.paid_total", usd(result.paid_usd))
    else:
        year = result.years[-1]
        last = _linked(entries, f"{result.name}.usd_per_call.y{year.year}", usd(year.usd_per_call))
    return f"<tr><td>{escape(result.name)}</td>{''.join(cells)}{right_cell(last)}</tr>"


def _by_kind(comparison: Comparison, spread: MonteCarlo | None) -> str:
    totals = {one.name: group_costs(one) for one in comparison.options}
    used = [group for group in GROUPS if any(abs(total[group]) > 0.5 for total in totals.values())]
    stacked = bars(
        "Cost of all years by kind",
        [Bar(name, [(group, total[group]) for group in used]) for name, total in totals.items()],
        used,
    )
    head = heading(["Kind of cost, all years"], list(totals))
    rows = []
    for group in used:
        cells = [right_cell(_kind_link(comparison, name, group, total[group])) for name, total in totals.items()]
        rows.append(f"<tr><td>{group}</td>{''.join(cells)}</tr>")
    return (
        f'<h2 id="kinds">What the money goes for</h2>{figure(stacked, "Nominal cost of all years. Point at a part for its sum.")}'
        f"{table(head, rows)}"
    )


def _kind_link(comparison: Comparison, option: str, group: str, value: float) -> str:
    return _linked(comparison.entries, group_id(option, group), usd(value)) if value else "–"


def _over_time(comparison: Comparison) -> str:
    rows = [(one.name, one.cumulative_saving_usd) for one in comparison.options if one.cumulative_saving_usd]
    plot = lines(f"Saved against {comparison.baseline} so far", rows, "end of year")
    text = (
        f"Cash saved against {escape(comparison.baseline)} so far, not discounted. "
        "Where a line comes above zero for good, the money is back."
    )
    return f'<h2 id="time">When the money is back</h2>{figure(plot, text)}'


def _sureness(comparison: Comparison, spread: MonteCarlo | None) -> str:
    if spread is None:
        return '<h2 id="sure">How sure this is</h2><p>Nothing was drawn: no assumption has a distribution, or draws were switched off.</p>'
    rows, short = [], any(one.leaves_calls_over for one in spread.options)
    for one in spread.options:
        saving = one.saving_usd
        cells = [right_cell(percent(one.cheapest)), right_cell(percent(one.cheaper_than_baseline))]
        for share in (10, 50, 90):
            cells.append(right_cell("–" if saving is None else usd(saving.percentiles[share])))
        cells += [right_cell(usd(one.usd_per_call.percentiles[share])) for share in (10, 90)]
        if short:
            cells.append(right_cell(percent(one.leaves_calls_over)))
        rows.append(f"<tr><td>{escape(one.name)}</td>{''.join(cells)}</tr>")
    head = heading(
        ["Option"],
        [
            "Cheapest",
            "Beats baseline",
            "Saving P10",
            "P50",
            "P90",
            "A call P10",
            "P90",
            *(["Leaves calls over"] * short),
        ],
    )
    plot = boxes("Saving against the baseline", [_box(one) for one in spread.options if one.saving_usd is not None])
    caption = (
        f"Net present value against {escape(comparison.baseline)}: the middle draw, half of all draws, nine tenths of all draws. "
        f'{spread.draws:,} draws, seed {spread.seed}, <a href="#inputs">{len(spread.uncertain)} uncertain inputs</a>.'
    )
    return f'<h2 id="sure">How sure this is</h2>{figure(plot, caption)}{table(head, rows)}'


def _box(one: OptionSpread) -> Box:
    assert one.saving_usd is not None  # noqa: S101  the caller leaves the baseline out
    points = one.saving_usd.percentiles
    return Box(one.name, points[5], points[25], points[50], points[75], points[95])


def _drivers(drivers: Sensitivity | None) -> str:
    if drivers is None:
        return ""
    top = drivers.influences[:_SHOWN]
    plot = tornado(
        f"What moves the saving of {drivers.option}",
        [Swing(one.id, one.saving_p10_usd, one.saving_p90_usd) for one in top],
        drivers.saving_usd,
    )
    rows = [
        f'<tr><td><a href="#{_anchor(one.id)}">{escape(one.id)}</a>{_also(one.also)}</td>{right_cell(percent(max(one.first_order, 0.0)))}'
        f"{right_cell(percent(max(one.total_order, 0.0)))}{right_cell(f'{max(one.total_low, 0):.2f} to {max(one.total_high, 0):.2f}')}"
        f"{right_cell(usd(one.saving_p10_usd))}{right_cell(usd(one.saving_p90_usd))}</tr>"
        for one in top
    ]
    head = heading(
        ["Assumption"], ["Of the variance, alone", "With others", "95 % interval", "Saving at its P10", "at its P90"]
    )
    caption = (
        f"Saving of {escape(drivers.option)} when one assumption moves from its 10th to its 90th percentile and all others stay at "
        f"their median ({short_usd(drivers.saving_usd)})."
    )
    return f'<h2 id="drivers">What matters most</h2>{figure(plot, caption)}{table(head, rows)}'


def _also(ids: list[str]) -> str:
    return f" <span class=tag>and {len(ids)} that say the same</span>" if ids else ""


def _methods(comparison: Comparison, spread: MonteCarlo | None, drivers: Sensitivity | None) -> str:
    rows = [
        row
        for one in comparison.options
        if one.saving_usd is not None
        for row in _method_rows(comparison.baseline, one)
    ]
    drawn = sobol = ""
    if spread is not None:
        drawn = (
            "<p>Uncertain inputs are drawn independently of each other, the same draws for all options "
            f"({spread.draws:,}, NumPy PCG64, seed {spread.seed}); inputs of one name with the same source and distribution are "
            "drawn as one.</p>"
        )
    if drivers is not None:
        sobol = (
            "<p>Shares of the variance are Sobol indices, first and total order (Saltelli 2010), from "
            f"{drivers.evaluations:,} evaluations.</p>"
        )
    return (
        '<h2 id="methods">How it was computed</h2><p>Years are whole. What is bought is paid at a year’s beginning, running costs '
        "count in its middle, loans, sales and tax at its end. The cost of a call is levelised: present value of all payments over "
        f"that of all calls. Point estimates take the median of each distribution.</p>{drawn}{sobol}{table('', rows)}"
    )


def _method_rows(base: str, one: OptionResult) -> list[str]:
    sums = " ".join(usd(value) for value in one.cumulative_saving_usd)
    irr = "" if one.irr is None or one.irr.rate_per_year is not None else f" {one.irr.why}."
    volume = "" if one.break_even is None or not one.break_even.why else f" {one.break_even.why}."
    texts = {
        "payback": f"{payback(one)}. Running sums of the payments of {base} less those of {one.name}, at the beginning and at each "
        f"year's end: {sums}; within a year they run evenly.",
        "irr": f"{rate_of_return(one)}. The rate at which these flows are worth nothing today, given only where it is the only one.{irr}",
        "breakeven": f"{break_even(one.break_even)}. The volume of the first year at which both present values are the same, all else "
        f"as in the plan.{volume}",
    }
    names = {"payback": "payback", "irr": "internal rate of return (IRR)", "breakeven": "break-even"}
    return [
        f'<tr id="m-{what}-{escape(one.name)}"><td>{escape(one.name)}: {names[what]}</td><td>{escape(text)}</td></tr>'
        for what, text in texts.items()
    ]


def _inputs(comparison: Comparison) -> str:
    rows = []
    for entry in comparison.entries.values():
        if entry.formula:
            continue
        value = escape(number(entry.value, entry.unit))
        spread = f" <span class=tag>{escape(entry.spread)}</span>" if entry.spread else ""
        assumed = '<span class="tag assumed">assumed</span> ' if entry.assumed else ""
        source = escape(entry.source) or "in the file, without a source"
        rows.append(
            f'<tr id="{_anchor(entry.id)}"><td>{escape(entry.label)}</td>{right_cell(value)}<td>{assumed}{source}{spread}</td></tr>'
        )
    return f'<h2 id="inputs">Inputs</h2>{table(heading(["Input"], ["Value"], ["Source"]), rows)}'


def _results(comparison: Comparison) -> str:
    rows = []
    for entry in comparison.entries.values():
        if not entry.formula:
            continue
        formula = _NAME.sub(lambda found: _reference(comparison.entries, found[0]), escape(entry.formula))
        source = f"<br><span class=note>{escape(entry.source)}</span>" if entry.source else ""
        rows.append(
            f'<tr id="{_anchor(entry.id)}"><td>{escape(entry.label)}{source}</td>{right_cell(escape(number(entry.value, entry.unit)))}'
            f'<td class="f">{formula}</td></tr>'
        )
    return (
        f'<h2 id="results">Every number, with its formula</h2>{_functions()}'
        f"{table(heading(['Result'], ['Value'], ['Formula']), rows)}"
    )


def _functions() -> str:
    return (
        f'<p class="note">Functions in formulas: {", ".join(sorted(FUNCTIONS))}. Their definitions and sources are in '
        "docs/planner-money.md. Names are those of the file, without the words that only give it structure.</p>"
    )


def _reference(entries: dict[str, Entry], name: str) -> str:
    return f'<a href="#{_anchor(name)}">{name}</a>' if name in entries else name
