"""Parts of the HTML report. What they are given is HTML already, but for headings."""

from html import escape


def right_cell(cell: str) -> str:
    """A cell of a number."""
    return f'<td class="r">{cell}</td>'


def heading(left: list[str], right: list[str], after: list[str] | None = None) -> str:
    """A table's head: text columns, numbers, and what comes after them."""
    cells = [f"<th>{escape(text)}</th>" for text in left]
    cells += [f'<th class="r">{escape(text)}</th>' for text in right]
    cells += [f"<th>{escape(text)}</th>" for text in after or []]
    return f"<thead><tr>{''.join(cells)}</tr></thead>"


def table(head: str, rows: list[str]) -> str:
    """A table that scrolls by itself where it is too wide."""
    return f'<div class="wide"><table>{head}<tbody>{"".join(rows)}</tbody></table></div>'


def figure(plot: str, caption: str) -> str:
    """A plot and what it shows."""
    return f'<figure><div class="plot">{plot}</div><figcaption>{caption}</figcaption></figure>'
