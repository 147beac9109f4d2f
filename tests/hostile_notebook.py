"""A notebook whose outputs attack the page that shows them; built here because committed ones hold no outputs."""

from __future__ import annotations

import base64
import zlib
from typing import Any

BEACON = "http://beacon.invalid/seen"

HOSTILE_NAME = '"><img src=x onerror=alert(5)><b onclick="alert(5)">'


def png() -> str:
    """The smallest PNG, in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    header = chunk(b"IHDR", bytes([0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\x80"))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")).decode()


def display(**data: Any) -> dict[str, Any]:
    """A display of `data`, whose keys have _ for the slash of a media type."""
    bundle = {kind.replace("_", "/", 1).replace("svg", "svg+xml"): value for kind, value in data.items()}
    return {"output_type": "display_data", "data": bundle, "metadata": {}}


def code(source: str, *outputs: dict[str, Any], status: str | None = "completed") -> dict[str, Any]:
    """A code cell."""
    metadata = {"papermill": {"status": status}} if status else {}
    return {
        "cell_type": "code", "source": source, "outputs": list(outputs), "metadata": metadata, "execution_count": 1,
    }  # fmt: skip


def words(source: str, **more: Any) -> dict[str, Any]:
    """A Markdown cell."""
    return {"cell_type": "markdown", "source": source, "metadata": {}, **more}


def notebook(*cells: dict[str, Any], language: str = "python") -> dict[str, Any]:
    """A notebook of these cells."""
    metadata = {"language_info": {"name": language}}
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


STYLED_TABLE = f"""<style>#T th {{ background: url({BEACON}?css) }}</style>
<table id="T" style="background:url({BEACON}?style)" onclick="alert(2)" class="dataframe p-badge">
<caption>Styled</caption>
<thead><tr><th scope="col" onmouseover="alert(2)">town</th><th>{HOSTILE_NAME}</th></tr></thead>
<tbody><tr><td colspan="2" onclick="alert(2)">42</td></tr></tbody></table>"""

FRAMES = f"""<iframe src="javascript:alert(7)" srcdoc="<script>alert(7)</script>"></iframe>
<object data="{BEACON}?object"></object><embed src="{BEACON}?embed">
<meta http-equiv="refresh" content="0;url={BEACON}?refresh"><base href="{BEACON}/">
<form action="{BEACON}?form"><button formaction="javascript:alert(7)">Go</button>
<input autofocus onfocus=alert(7)></form>
<link rel="stylesheet" href="{BEACON}?link"><img src="{BEACON}?image"><video src="{BEACON}?video" autoplay></video>
<a href="data:text/html,<script>alert(7)</script>">data</a><a href="//beacon.invalid/x">relative</a>
<math><mtext><table><mglyph><style><img src=x onerror=alert(7)></style></mglyph></table></mtext></math>
<noscript><p title="</noscript><img src=x onerror=alert(7)>"></noscript>"""

SVG = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(6)"><script>alert(6)</script></svg>'

MARKDOWN = f"""# Said in an output <script>alert(3)</script>

<img src=x onerror="alert(3)"> [link](javascript:alert(3)) [auto](<vbscript:alert(3)>) ![b]({BEACON}?markdown)

| town | {HOSTILE_NAME.replace("|", "")} |
|---|---:|
| a | 1 |
"""

WORDS = f"""## Why <script>alert(4)</script>

<img src=x onerror=alert(4)> <a href="java&#x0A;script:alert(4)">click</a> [good](https://data.ct.gov)
<div style="position:fixed;inset:0;background:url({BEACON}?words)">over everything</div>
</div></section></main><script>alert(4)</script>
"""

HOSTILE = notebook(
    words(WORDS),
    code(
        "HTML('...')", display(text_html="<p>kept</p><script>alert(1)</script><img src=x onerror=alert(1)>")
    ),
    code("table.style", display(text_html=STYLED_TABLE, text_plain="a table")),
    code(
        "Markdown('...')",
        display(text_markdown=MARKDOWN, text_plain="<IPython.core.display.Markdown object>"),
    ),
    code("SVG('...')", display(image_svg=SVG, text_plain="<SVG object>")),
    code("Javascript('...')", display(application_javascript="alert(8)")),
    code("IFrame('...')", display(text_html=FRAMES)),
    code(
        "print('</script><script>alert(9)</script>')",
        {"output_type": "stream", "name": "stdout", "text": "<script>alert(9)</script>\x1b[31mred\x1b[0m"},
        display(image_png=png()),
    ),
)
"""Every way in which an output has been seen to run a script or to make a request."""
