"""The HTML report: self-contained, every link leads somewhere, and a real browser shows it without a word of complaint."""

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.planner.money_plans import EXAMPLES, small

from switchgear.planner.compare import Comparison, compare
from switchgear.planner.money_read import plan_of, read_plan
from switchgear.planner.montecarlo import simulate
from switchgear.planner.montecarlo_sensitivity import sensitivity
from switchgear.planner.report import html_report
from switchgear.planner.report_svg import Bar, bars, lines
from switchgear.planner.report_text import number, percent, short_count, short_usd, usd
from switchgear.planner.tco_model import GROUPS, CostKind

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)


class _Page(HTMLParser):
    """Ids, links and what the page would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.tags: set[str] = set()
        self.numbers = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag == "a":
            self.links.append(str(given.get("href")))
            self.numbers += given.get("class") == "n"
        elif given.get("href") or given.get("src"):
            self.fetched.append(str(given.get("href") or given.get("src")))


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(read_plan(EXAMPLES / "compare.toml"))


@pytest.fixture(scope="module")
def text(comparison: Comparison) -> str:
    plan = read_plan(EXAMPLES / "compare.toml")
    return html_report(comparison, simulate(plan, draws=1000), sensitivity(plan, "hybrid", points=64))


def test_it_needs_nothing_else(text: str) -> None:
    page = _Page(text)
    assert page.fetched == ["data:,"]
    assert not page.tags & {"script", "iframe", "img", "object", "embed", "form"}
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert "@import" not in text


def test_every_link_leads_to_one_place(text: str, comparison: Comparison) -> None:
    page = _Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert {f"e-{id}" for id in comparison.entries} <= set(page.ids)
    assert page.numbers > 80


def test_every_sum_of_the_tables_is_a_link(text: str) -> None:
    head, _, rest = text.partition('id="options"')
    tables = rest.partition('id="time"')[0]
    cells = re.findall(r'<td class="r">(.*?)</td>', tables)
    assert len(cells) > 90
    assert [cell for cell in cells if cell != "–" and not cell.startswith('<a class="n" href="#')] == []
    assert re.findall(r"\$[\d,.]+", re.sub(r"<a .*?</a>", "", head)) == []


def test_what_people_wrote_cannot_act() -> None:
    plan = small() | {"title": "<script>alert(1)</script>"}
    plan["options"]["server"]["title"] = 'a"><img src=x onerror=alert(1)>'
    plan["workload"]["calls_per_month"] = {"value": 1e6, "source": "</td><script>x</script>"}
    page = _Page(html_report(compare(plan_of(plan))))
    assert "script" not in page.tags
    assert "img" not in page.tags


def test_without_draws_it_says_so() -> None:
    text = html_report(compare(plan_of(small())))
    assert "Nothing was drawn" in text
    page = _Page(text)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)


def test_groups_hold_every_kind_once() -> None:
    kinds = [kind for kinds in GROUPS.values() for kind in kinds]
    assert sorted(kinds) == sorted(CostKind)


def test_plots_keep_their_proportions() -> None:
    plot = bars("t", [Bar("a", [("x", 100.0), ("y", -50.0)]), Bar("b", [("x", 50.0), ("y", 0.0)])], ["x", "y"])
    widths = [
        float(width)
        for width in re.findall(r'<rect class="s\d" x="[\d.]+" y="[\d.]+" width="([\d.]+)" height="18"', plot)
    ]
    assert widths[0] + 1 == pytest.approx(2 * (widths[1] + 1), abs=0.5)
    assert widths[2] == pytest.approx(widths[1], abs=0.5)
    assert lines("t", [("only", [0.0, 0.0])], "year").count("<polyline") == 1


def test_words_for_numbers() -> None:
    assert [usd(value) for value in (0.0, 1234.5, 12.345, 0.05, 0.00012, -7.0)] == [
        "$0.00",
        "$1,234",
        "$12.35",
        "$0.0500",
        "$0.000120",
        "-$7.00",
    ]
    assert [short_usd(value) for value in (0.0, 1.5e6, -2500.0, 12.0)] == ["$0", "$1.5M", "-$2.5k", "$12.00"]
    assert [percent(value) for value in (None, 0.0, 0.001, 0.5, 1.0)] == ["–", "0 %", "< 1 %", "50 %", "100 %"]
    assert number(2.0, "USD/Mtok") == "$2.00 /Mtok"
    assert number(1_500_000.0, "call") == "1,500,000 call"
    assert short_count(2_710_000) == "2.71M"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("no chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        shown = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield shown
        shown.close()


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1100, "light")])
def test_a_browser_shows_it(browser: Any, text: str, tmp_path: Path, width: int, scheme: str) -> None:
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((tmp_path / "report.html").as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [page.url]
    assert said == []
    assert page.evaluate("[...document.links].filter(a => !document.getElementById(a.hash.slice(1))).length") == 0
    # Nothing but what scrolls by itself is wider than the window.
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(20, 20, 19)") == (scheme == "dark")
    assert page.locator("svg").count() == 4
    page.locator("a.n").nth(3).click()
    assert page.evaluate("document.querySelector(':target') !== null")
    page.close()


def test_it_prints(browser: Any, text: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    page = browser.new_page(viewport={"width": 700, "height": 900}, color_scheme="dark")
    page.goto((tmp_path / "report.html").as_uri())
    page.emulate_media(media="print", color_scheme="light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    # On paper nothing can be scrolled: every table must fit.
    too_wide = (
        "[...document.querySelectorAll('.wide, .plot')].filter(box => box.scrollWidth > box.clientWidth + 1).length"
    )
    assert page.evaluate(too_wide) == 0
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    page.close()
