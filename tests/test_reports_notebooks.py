"""An executed notebook as a page: what it shows and what it does not let through."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hostile_notebook import BEACON, HOSTILE, code, display, notebook, png, words

from ctnb.errors import RecordBroken
from ctnb.reports.markup import CONTENT_SECURITY_POLICY
from ctnb.reports.notebooks import to_html

LIVE_TAGS = {
    "script",
    "iframe",
    "object",
    "embed",
    "base",
    "form",
    "input",
    "button",
    "link",
    "video",
    "math",
    "frame",
}


class Elements(HTMLParser):
    """Every start tag of a page with its attributes, and the text by the tag around it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element `tag`."""
        return [attributes for name, attributes in self.found if name == tag]


def live(page: str) -> list[str]:
    """What in `page` would run, load or lead astray."""
    found = []
    for tag, attributes in Elements(page).found:
        if tag in LIVE_TAGS or (tag == "meta" and attributes.get("http-equiv") == "refresh"):
            found.append(tag)
        for name, value in attributes.items():
            text = (value or "").strip().lower()
            leads = name in ("src", "href", "data", "action", "formaction", "srcdoc", "srcset", "background")
            safe = text.startswith(
                ("https://", "mailto:", "#", "data:image/png;base64,", "data:image/jpeg;base64,")
            )
            if (
                name.startswith("on")
                or name == "style"
                or (leads and not safe)
                or (name == "src" and "http" in text)
            ):
                found.append(f"{tag} {name}")
    return found


def page_of(*cells: dict[str, Any], language: str = "python") -> str:
    """The page of a notebook of `cells`."""
    return to_html(notebook(*cells, language=language), title="A page")


def test_nothing_of_the_hostile_notebook_is_alive() -> None:
    """Scripts, handlers, frames, refreshes, beacons and script links are all gone."""
    assert live(to_html(HOSTILE, title="<script>alert(0)</script>")) == []


def test_the_check_for_live_payloads_finds_them() -> None:
    """The same check on the raw outputs finds each kind, so an empty answer means something."""
    raw = "".join(
        str(v) for c in HOSTILE["cells"] for o in c.get("outputs", ()) for v in o.get("data", {}).values()
    )
    assert {"script", "iframe", "form", "table onclick", "table style", "img onerror", "img src"} <= set(
        live(raw)
    )


def test_no_address_of_the_hostile_notebook_is_kept() -> None:
    """No beacon survives, neither in markup nor in a style."""
    assert BEACON not in to_html(HOSTILE, title="Hostile")


def test_the_policy_comes_first_in_the_head() -> None:
    """Nothing stands before the Content-Security-Policy that it would have to stop."""
    elements = Elements(to_html(HOSTILE, title="Hostile")).found
    assert [tag for tag, _ in elements[:3]] == ["html", "head", "meta"]
    assert elements[2][1] == {"http-equiv": "Content-Security-Policy", "content": CONTENT_SECURITY_POLICY}


def test_tables_keep_their_heads_and_their_spans() -> None:
    """Cleaning takes the handlers of a styled table and leaves the table."""
    page = to_html(HOSTILE, title="Hostile")
    assert page.count("<thead>") == 2
    assert '<th scope="col">town</th>' in page
    assert '<td colspan="2">42</td>' in page


def test_an_output_cannot_wear_the_classes_of_the_page() -> None:
    """A cell that draws our own green badge draws plain text."""
    page = page_of(code("x", display(text_html='<span class="p-badge p-good mine">released</span>')))
    assert '<span class="mine">released</span>' in page


def test_an_output_cannot_leave_its_place() -> None:
    """Closing tags that were never opened do not close ours."""
    page = page_of(words("</section></main></body><p>after</p>"), code("1"))
    assert page.count("</main>") == 1
    assert page.index("after") < page.index("</main>")


@pytest.mark.parametrize("place", ["output", "cell"])
def test_markdown_is_rendered_with_its_tables(place: str) -> None:
    """Markdown becomes HTML wherever it stands."""
    text = "## Counts\n\n| town | rows |\n|---|---|\n| Avon | 12 |"
    cell = words(text) if place == "cell" else code("x", display(text_markdown=text))
    page = page_of(cell)
    assert "<h3>Counts</h3>" in page
    assert "<th>town</th>" in page


def test_details_made_by_a_cell_stay() -> None:
    """An output may fold its long lists."""
    page = page_of(code("x", display(text_html="<details><summary>More</summary>list</details>")))
    assert "<details><summary>More</summary>list</details>" in page


def test_a_png_is_kept_inside_the_page() -> None:
    """Images travel with the page."""
    images = Elements(page_of(code("plot", display(image_png=png())))).all("img")
    assert [one["src"] for one in images] == [f"data:image/png;base64,{png()}"]


def test_something_else_that_says_it_is_a_png_is_left_out() -> None:
    """An image is known by its first bytes, not by its label."""
    page = page_of(code("plot", display(image_png="PHN2Zz48L3N2Zz4=")))
    assert Elements(page).all("img") == []


def test_an_image_attached_to_a_cell_is_shown() -> None:
    """Pictures dropped into a Markdown cell live in its attachments."""
    cell = words("![A map](attachment:map.png)", attachments={"map.png": {"image/png": png()}})
    assert [one["alt"] for one in Elements(page_of(cell)).all("img")] == ["A map"]


@pytest.mark.parametrize(
    "kind", ["application_javascript", "image_svg", "text_latex", "image_gif", "image_png"]
)
def test_an_output_that_is_left_out_is_named(kind: str) -> None:
    """What the page does not show, it says."""
    mime = kind.replace("_", "/", 1).replace("svg", "svg+xml")
    assert f"Left out: {mime}" in Elements(page_of(code("x", display(**{kind: "alert(1)"})))).text


def test_html_of_which_nothing_is_left_is_named_and_its_text_shown() -> None:
    """A cell that only made a script does not look as if it had made nothing."""
    text = Elements(page_of(code("x", display(text_html="<script>1</script>", text_plain="<HTML>")))).text
    assert "<HTML>" in text
    assert "Left out: text/html" in text


def test_an_error_shows_its_type_and_place_but_no_message() -> None:
    """Even a notebook that kept the message does not hand it on."""
    error = {
        "output_type": "error",
        "ename": "ValueError",
        "evalue": "bad cell: 999-55-1234",
        "traceback": [
            "ValueError raised at", "  cell 3, line 2, in load", "  pandas/frame.py, line 12",
            "----> 2 load('Jane Roe 999-55-1234')", "ValueError: bad cell: 999-55-1234",
        ],
    }  # fmt: skip
    text = Elements(page_of(code("load()", error, status="failed"))).text
    assert "ValueError ended this cell." in text
    assert "cell 3, line 2, in load\n  pandas/frame.py, line 12" in text
    assert "999-55-1234" not in text


def test_a_name_of_an_error_that_is_no_name_is_not_shown() -> None:
    """The type of an error comes from the kernel, too."""
    error = {"output_type": "error", "ename": "Jane Roe, 999-55-1234", "evalue": "", "traceback": []}
    assert "Jane" not in page_of(code("x", error, status="failed"))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("completed", "1 code cell: 1 completed."),
        ("failed", "1 code cell: 1 failed."),
        ("interrupted", "1 code cell: 1 interrupted."),
        ("running", "1 code cell: 1 interrupted."),
        ("pending", "1 code cell: 1 not run."),
        (None, "1 code cell: 1 no status recorded."),
    ],
)
def test_the_status_of_a_cell_is_said_in_words(status: str | None, said: str) -> None:
    """The page repeats what the engine wrote, and never makes a status up."""
    assert said in Elements(page_of(code("1 + 1", status=status))).text


def test_only_long_code_that_completed_is_folded() -> None:
    """Six lines are read at a glance; of more, a reader looks for what went wrong."""
    long = "step()\n" * 6
    page = page_of(code("fine()"), code(long + "x"), code(long + "x", status="failed"))
    assert [one.get("open") for one in Elements(page).all("details")] == ["open", None, "open"]


def test_a_long_table_is_folded_and_tells_a_phone_its_headings() -> None:
    """Each cell of a table with a plain head knows its column; more than 15 rows stand under a line."""
    rows = "".join(f"<tr><td>c{n}</td><td>{n}</td></tr>" for n in range(16))
    html = f"<table><thead><tr><th>A &amp; b</th><th>n</th></tr></thead><tbody>{rows}</tbody></table>"
    elements = Elements(page_of(code("x", display(text_html=html))))
    assert "16 rows: A & b, n" in elements.text
    assert [one["data-label"] for one in elements.all("td")][:2] == ["A & b", "n"]


def test_a_table_inside_a_table_stays_as_it_is() -> None:
    """Only plain tables are laid out anew; every tag stays closed."""
    html = "<table><tbody><tr><td><table><tbody><tr><td>x</td></tr></tbody></table></td></tr></tbody></table>"
    assert html in page_of(code("x", display(text_html=html)))


def test_the_parameters_of_the_run_stand_by_the_cell_that_sets_them() -> None:
    """Defaults and what the run was given are told apart."""
    cells = [code('dataset = "a"'), code("update()"), code("x")]
    cells[0]["metadata"]["tags"], cells[1]["metadata"]["tags"] = ["parameters"], ["injected-parameters"]
    page = to_html(
        {"cells": cells, "metadata": {"papermill": {"parameters": {"dataset": "<b>", "source": ""}}}},
        title="Read",
    )
    text = Elements(page).text
    assert "Defaults of the parameters, cell 1" in text
    assert "Parameters of this run, cell 2" in text
    assert "dataset<b>sourceempty" in text


def test_code_is_highlighted_in_the_language_of_the_notebook() -> None:
    """R is not read as Python."""
    page = page_of(code("f <- function(x) x"), language="R")
    assert '<span class="p-hl-kr">function</span>' in page


def test_code_of_an_unknown_language_is_shown_as_it_is() -> None:
    """A language Pygments does not know still shows its code, escaped."""
    assert "1 &lt; 2" in page_of(code("1 < 2"), language="nonsense")


def test_colours_and_overwritten_lines_of_a_terminal_are_taken_out() -> None:
    """A progress bar shows its last state."""
    stream = {
        "output_type": "stream",
        "name": "stdout",
        "text": ["10%\r50%\r", "100%\n", "\x1b[1mdone\x1b[0m"],
    }
    assert ">100%\ndone</pre>" in page_of(code("go()", stream))


def test_text_that_turns_the_reading_direction_is_shown_by_number() -> None:
    """A right-to-left override cannot make a page say something else."""
    said = "approved\u202edevorppa ton"
    stream = {"output_type": "stream", "name": "stdout", "text": said}
    page = page_of(words(said), code(f"# {said}", stream, display(text_html=f"<p>{said}</p>")))
    assert Elements(page).text.count("approved⟨U+202E⟩devorppa ton") == 4


def test_the_page_leads_back_to_the_report() -> None:
    """A reader of one notebook finds the run it belongs to."""
    page = to_html(notebook(), title="Read", report="../report.html")
    assert '<a href="../report.html">Report of this run</a>' in page


def test_the_same_notebook_gives_the_same_page() -> None:
    """A page can be made again and compared."""
    assert to_html(HOSTILE, title="Hostile") == to_html(HOSTILE, title="Hostile")


def test_a_file_and_its_content_give_the_same_page(tmp_path: Path) -> None:
    """A path is read as the notebook it holds."""
    path = tmp_path / "1-read.ipynb"
    path.write_text(json.dumps(HOSTILE), encoding="utf-8")
    assert to_html(path, title="Read") == to_html(HOSTILE, title="Read")


def test_a_file_that_is_no_notebook_is_refused_without_quoting_it(tmp_path: Path) -> None:
    """The text of a broken file stays in it, in the error's chain as well."""
    path = tmp_path / "1-read.ipynb"
    path.write_text('{"cells": [ "999-55-1234', encoding="utf-8")
    with pytest.raises(RecordBroken, match=r"1-read\.ipynb is not a notebook") as caught:
        to_html(path, title="Read")
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_notebook_that_is_missing_is_named(tmp_path: Path) -> None:
    """A missing file is told apart from a broken one."""
    with pytest.raises(RecordBroken, match=r"There is no 1-read\.ipynb"):
        to_html(tmp_path / "1-read.ipynb", title="Read")
