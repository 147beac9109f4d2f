"""
An executed notebook as one HTML page that is safe to open and to hand on.

nbconvert is not used: importing its HTML exporter costs 0.45 to 0.6 s (0.3 s more than nbformat alone), ten
times what a whole page costs here, and what it renders would have to be taken apart again to be cleaned.
mistune and Pygments are the libraries nbconvert itself renders with; nh3 cleans (see `sanitising`).

Of an error the page shows the type and the place only, whatever the notebook holds.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ctnb.errors import RecordBroken
from ctnb.reports.markup import Html, badge, document, h, joined, visible
from ctnb.reports.outputs import laid_out
from ctnb.reports.sanitising import clean, image_uri
from ctnb.reports.tables import code as typed
from ctnb.reports.tables import facts

STATUSES = {
    "completed": ("good", "completed"),
    "failed": ("bad", "failed"),
    "interrupted": ("warn", "interrupted"),
    "running": ("warn", "interrupted"),
    "pending": ("idle", "not run"),
    "": ("idle", "no status recorded"),
}
"""What `metadata.papermill.status` of a code cell says, as a tone and in words."""

LEFT_OUT = "Left out: {} (this page shows text, tables, PNG and JPEG images only)."

INJECTED = "Parameters of this run"
GIVEN = "ctnb put this cell in. It replaces the defaults above by what this run was given:"

OPEN_LINES = 6
"""Code of at most so many lines is shown, longer code is folded."""

_SHOWN = ("text/html", "text/markdown", "image/png", "image/jpeg", "text/plain")
_MIME = re.compile(r"[\w.+-]+/[\w.+-]+\Z")
_NAME = re.compile(r"[A-Za-z_][\w.]{0,79}\Z")
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_HEADING = re.compile(r"<(/?)h([1-5])\b")
_ATTACHMENT = re.compile(r"\(attachment:([^)\s]+)\)")
_PLACE = re.compile(
    r"(?:  (?:cell \d+|[^\s,]{1,200}), line \d+(?:, in [\w.]+)?|[\w.]+ raised at|which led to)\Z"
)
_MAGIC = re.compile(r"%%(R|r|sql|bash|sh|html)\b")


def to_html(notebook: Path | Mapping[str, Any], *, title: str, report: str | None = None) -> str:
    """
    `notebook` (a file, or nbformat 4 content) as a self-contained page; the same input gives the same page.

    `report` is the relative path of the run's report, to link back to.

    Raises RecordBroken when it is not a notebook of nbformat 4.
    """
    content = _opened(notebook)
    cells = content["cells"]
    language = _language(content)
    given = _parameters(content)
    shown = [_cell(cell, place, language, given) for place, cell in _numbered(cells)]
    back = h("p", h("a", "Report of this run", href=quote(report)), class_="p-eyebrow") if report else None
    return document(
        title,
        h("header", back, h("h1", title), _summary(cells), class_="p-head"),
        h("main", *shown, class_="p-notebook"),
    )


def _opened(notebook: Path | Mapping[str, Any]) -> Mapping[str, Any]:
    content = _parsed(notebook) if isinstance(notebook, Path) else notebook
    cells = content.get("cells") if isinstance(content, Mapping) else None
    if not isinstance(cells, list) or not all(isinstance(cell, Mapping) for cell in cells):
        name = notebook.name if isinstance(notebook, Path) else "What was given"
        raise RecordBroken(f"{name} is not a notebook of nbformat 4.", hint="Run the step again.")
    return content


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecordBroken(f"There is no {path.name} in the record.", hint="Run the step again.") from error
    except ValueError:
        # Raised outside by the caller: the decoder's error holds the whole text, outputs and all.
        return None


def _numbered(cells: list[Mapping[str, Any]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Each cell with its number among the code cells, counted from 1 as Jupyter does; 0 for other cells."""
    place = 0
    for cell in cells:
        code = cell.get("cell_type") == "code"
        place += code
        yield (place if code else 0), cell


def _summary(cells: list[Mapping[str, Any]]) -> Html:
    counts = Counter(STATUSES[_status(cell)][1] for cell in cells if cell.get("cell_type") == "code")
    total = sum(counts.values())
    order = dict.fromkeys(words for _, words in STATUSES.values())
    said = ", ".join(f"{counts[words]} {words}" for words in order if counts[words])
    return h("p", f"{total} code {'cell' if total == 1 else 'cells'}" + (f": {said}." if said else "."))


def _cell(cell: Mapping[str, Any], place: int, language: str, given: Html | None) -> Html:
    source = _text(cell.get("source"))
    if cell.get("cell_type") == "markdown":
        return h("section", _markdown(_with_attachments(source, cell)), class_="p-words")
    if cell.get("cell_type") != "code":
        return h("section", h("pre", source), class_="p-words")
    status = _status(cell)
    tone, words = STATUSES[status]
    kind = _kind(cell)
    opened = (kind == "Code" and _is_short(source)) or status in ("failed", "interrupted", "running")
    return h(
        "section",
        h(
            "details",
            h("summary", f"{kind}, cell {place} ", badge(tone, words)),
            h("pre", h("code", _highlighted(source, language)), class_="p-code", tabindex=0),
            open="open" if opened else None,
        ),
        given if kind == INJECTED else None,
        [_output(output) for output in cell.get("outputs") or ()],
        class_=f"p-cell p-is-{status or 'none'}",
        id=f"cell-{place}",
        aria_label=f"Code cell {place}, {words}",
    )


def _kind(cell: Mapping[str, Any]) -> str:
    """What a code cell is for: papermill knows the parameters by these tags."""
    tags = (cell.get("metadata") or {}).get("tags") or ()
    if "injected-parameters" in tags:
        return INJECTED
    return "Defaults of the parameters" if "parameters" in tags else "Code"


def _is_short(source: str) -> bool:
    return source.count("\n") < OPEN_LINES


def _parameters(content: Mapping[str, Any]) -> Html | None:
    """The parameters the run was given, as the engine recorded them; an empty one says so."""
    papermill = (content.get("metadata") or {}).get("papermill")
    given = papermill.get("parameters") if isinstance(papermill, Mapping) else None
    if not isinstance(given, Mapping) or not given:
        return None
    shown = facts(
        *((str(name), typed(_text(value)) if value != "" else "empty") for name, value in given.items())
    )
    return joined((h("p", GIVEN, class_="p-note"), shown))


def _status(cell: Mapping[str, Any]) -> str:
    papermill = (cell.get("metadata") or {}).get("papermill")
    status = papermill.get("status") if isinstance(papermill, Mapping) else None
    return status if isinstance(status, str) and status in STATUSES else ""


def _output(output: Mapping[str, Any]) -> Html:
    kind = output.get("output_type")
    if kind == "stream":
        name = "p-stderr" if output.get("name") == "stderr" else "p-stdout"
        return h("pre", _terminal(output.get("text")), class_=f"p-out {name}")
    if kind == "error":
        return _error(output)
    if kind in ("display_data", "execute_result"):
        return _display(output.get("data") or {})
    return Html("")


def _error(output: Mapping[str, Any]) -> Html:
    """Type and place. Anything else of a traceback may quote data and is not shown."""
    name = str(output.get("ename") or "")
    lines = [_TERMINAL.sub("", _text(line)) for line in output.get("traceback") or ()]
    places = "\n".join(line for line in lines if _PLACE.match(line))
    return h(
        "div",
        h("p", h("strong", name if _NAME.match(name) else "Error"), " ended this cell."),
        h("pre", places) if places else None,
        class_="p-out p-error",
    )


def _display(data: Mapping[str, Any]) -> Html:
    """The best representation that can be shown; every other that only scripts could show is named."""
    shown = None
    left_out = [mime for mime in data if mime not in _SHOWN and _MIME.match(mime)]
    for mime in (mime for mime in _SHOWN if _text(data.get(mime)).strip()):
        shown = _rendered(mime, _text(data[mime]))
        if shown:
            break
        left_out.append(mime)
    note = h("p", LEFT_OUT.format(", ".join(sorted(left_out))), class_="p-note") if left_out else None
    return joined((shown, note))


def _rendered(mime: str, text: str) -> Html | None:
    """One representation of an output; None when nothing of it is left after cleaning."""
    if mime.startswith("image/"):
        uri = image_uri(mime, text)
        return h("p", h("img", src=uri, alt="Image made by this cell"), class_="p-out") if uri else None
    if mime == "text/plain":
        return h("pre", _terminal(text), class_="p-out")
    html = _markdown(text) if mime == "text/markdown" else laid_out(_lowered(clean(text)))
    return h("div", html, class_="p-out p-scroll", tabindex=0) if html.strip() else None


def _markdown(text: str) -> Html:
    return _lowered(clean(str(_renderer()(text))))


def _lowered(html: Html) -> Html:
    """Headings one level down: the page's title is its one h1."""
    return Html(_HEADING.sub(lambda found: f"<{found[1]}h{int(found[2]) + 1}", html))


def _with_attachments(source: str, cell: Mapping[str, Any]) -> str:
    attachments = cell.get("attachments") or {}

    def embedded(found: re.Match[str]) -> str:
        bundle = attachments.get(found[1]) or {}
        uris = (image_uri(mime, _text(value)) for mime, value in bundle.items())
        return f"({next(filter(None, uris), '')})"

    return _ATTACHMENT.sub(embedded, source)


def _highlighted(source: str, language: str) -> Html:
    from pygments import highlight  # type: ignore[import-untyped]  # Pygments ships no types
    from pygments.formatters.html import HtmlFormatter  # type: ignore[import-untyped]  # as above

    magic = _MAGIC.match(source)
    lexer = _lexer(magic[1].lower() if magic else language)
    return Html(highlight(visible(source), lexer, HtmlFormatter(nowrap=True, classprefix="p-hl-")))


@cache
def _lexer(language: str) -> Any:
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]  # Pygments ships no types
    from pygments.lexers.special import TextLexer  # type: ignore[import-untyped]  # as above
    from pygments.util import ClassNotFound  # type: ignore[import-untyped]  # as above

    try:
        return get_lexer_by_name(language)
    except ClassNotFound:
        return TextLexer()


@cache
def _renderer() -> Any:
    import mistune

    return mistune.create_markdown(escape=False, plugins=["table", "strikethrough"])


def _language(content: Mapping[str, Any]) -> str:
    metadata = content.get("metadata") or {}
    for key, name in (("language_info", "name"), ("kernelspec", "language")):
        found = (metadata.get(key) or {}).get(name)
        if isinstance(found, str) and found:
            return found.lower()
    return "python"


def _terminal(value: Any) -> str:
    """Printed text without colours; of a line that was overwritten, what stood last."""
    text = _TERMINAL.sub("", _text(value)).replace("\r\n", "\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))


def _text(value: Any) -> str:
    """Text of the file format, which may be a list of lines."""
    return "".join(map(str, value)) if isinstance(value, list) else str(value or "")
