"""What is kept of a cell's outputs, message by message, without a kernel."""

import random
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell

from ctnb.kernels.failures import KEPT_ELSEWHERE
from ctnb.kernels.outcomes import Limits
from ctnb.kernels.outputs import CellOutputs, NotebookOutputs
from ctnb.kernels.scrubbing import Scrubber


def outputs_of(
    *messages: tuple[str, dict[str, Any]],
    secrets: tuple[str, ...] = (),
    limits: Limits | None = None,
    final: bool = True,
    log: list[str] | None = None,
) -> list[Any]:
    """The outputs a cell keeps after the messages."""
    cell = new_code_cell("")
    kept = log if log is not None else []
    outputs = CellOutputs(NotebookOutputs(Scrubber(secrets), limits or Limits(), kept.append), cell)
    for kind, content in messages:
        outputs.receive(kind, content)
    outputs.write(final=final)
    return list(cell.outputs)


def printed(text: str, name: str = "stdout") -> tuple[str, dict[str, Any]]:
    return "stream", {"name": name, "text": text}


def shown(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    return "display_data", {"data": data, "metadata": metadata or {}}


def test_a_secret_split_over_any_number_of_messages_is_found() -> None:
    """However a token is cut into messages, no part of it is kept."""
    token = "tok-3f9a77c2e1"
    line = f"sent {token} twice {token}\n"
    dice = random.Random(7)
    for _ in range(50):
        cuts = sorted(dice.sample(range(len(line)), 5))
        parts = [line[a:b] for a, b in zip([0, *cuts], [*cuts, len(line)], strict=True)]
        kept = outputs_of(*map(printed, parts), secrets=(token,))
        assert [output.text for output in kept] == ["sent [secret] twice [secret]\n"]


def test_a_save_in_the_middle_of_a_secret_keeps_no_part_of_it() -> None:
    """Before the cell ends, an unfinished line waits."""
    kept = outputs_of(
        printed("started\n" + "." * 30 + "\n"), printed("tok-3f9a"), secrets=("tok-3f9a77c2e1",), final=False
    )
    assert "tok" not in "".join(output.text for output in kept)
    assert kept[0].text.startswith("started\n")


def test_stderr_becomes_a_count_and_does_not_divide_what_is_printed() -> None:
    """Warnings quote data: the text goes to the log, the number of lines stays."""
    log: list[str] = []
    kept = outputs_of(
        printed("a"),
        printed("warn: Ada\nmore", "stderr"),
        printed("b\n"),
        printed(" and more\n", "stderr"),
        log=log,
    )
    assert [(o.name, o.text) for o in kept] == [
        ("stdout", "ab\n"),
        ("stderr", "2 lines on stderr (kept in the private work folder)\n"),
    ]
    assert "".join(log) == "warn: Ada\nmore and more\n"


def test_a_drawn_table_leaves_its_number_of_lines() -> None:
    """What DuckDB, Polars and pyarrow draw by themselves holds rows."""
    box = "┌──────┐\n│ name │\n├──────┤\n│ Ada  │\n└──────┘\n"
    (kept,) = outputs_of(printed(f"before\n{box}after\n"))
    assert kept.text == "before\n[not kept: 5 lines of a drawn table]\nafter\n"
    arrow = 'pyarrow.Table\nname: string\n----\nname: [["Ada","Grace"]]\n'
    (kept,) = outputs_of(printed(arrow))
    assert kept.text == "pyarrow.Table\nname: string\n----\n[not kept: 1 line of a drawn table]\n"


def test_long_text_is_cut_at_a_line_and_says_so() -> None:
    """Five megabytes leave twenty kilobytes and the true size."""
    kept = outputs_of(*[printed("0123456789\n" * 5000)] * 100)
    assert kept[0].text.endswith("\n[cut: 5,500,000 bytes were printed, the first 20,000 at most are kept]\n")
    assert len(kept[0].text) < 20_200
    assert set(kept[0].text.split("\n")[:-3]) == {"0123456789"}


def test_a_secret_across_the_cut_leaves_no_part() -> None:
    """The limit may fall inside a token; then the token goes whole."""
    text = "x" * 95 + "tok-3f9a77c2e1" + "y" * 200
    kept = outputs_of(printed(text), secrets=("tok-3f9a77c2e1",), limits=Limits(output_bytes=100))
    assert kept[0].text.split("\n")[0] == "x" * 95


def test_too_many_outputs_are_counted_and_not_kept() -> None:
    """The first ones stay, a note says how many do not."""
    kept = outputs_of(*[shown({"text/plain": "1"})] * 250)
    assert len(kept) == 201
    assert kept[-1].text == "[cut: 50 more outputs of this cell]\n"


def test_a_full_notebook_takes_no_more_outputs() -> None:
    """The limit of the whole notebook counts every cell's outputs."""
    kept = outputs_of(*[shown({"image/png": "A" * 400})] * 4, limits=Limits(notebook_bytes=1000))
    assert [o.get("text") for o in kept] == [None, None, "[cut: 2 more outputs of this cell]\n"]


def test_what_a_cell_shows_is_not_kept_unless_it_is_simple() -> None:
    """Lists, texts, pages and JSON may hold rows: they leave a note of their size."""
    for data in (
        {"text/plain": "[['Ada', 41]]"},
        {"text/plain": "'Ada'"},
        {"text/plain": "123456789"},
        {"text/html": "<table><tr><td>Ada</td></tr></table>"},
        {"text/html": "<b>Ada</b>", "text/plain": "<IPython.core.display.HTML object>"},
        {"application/vnd.dataresource+json": {"data": [{"name": "Ada"}]}},
        {"application/javascript": "alert('Ada')"},
        {"image/svg+xml": "<svg><text>Ada</text></svg>"},
        {"text/latex": "Ada"},
    ):
        (output,) = outputs_of(shown(data))
        assert list(output.data) == ["text/plain"]
        assert output.data["text/plain"].startswith("[not kept: an output of ")


def test_plain_numbers_and_shapes_are_kept() -> None:
    """Counts are what a record is for."""
    for text in ("42", "-1.5", "True", "None", "np.int64(10654)", "(10654, 48)", "nan", "[1] 42", "TRUE"):
        (output,) = outputs_of(shown({"text/plain": text}))
        assert output.data == {"text/plain": text}


def test_a_display_that_ctnb_marked_safe_is_kept_and_its_other_metadata_is_not() -> None:
    """The mark opens text and pages; still scrubbed, and nothing else rides along."""
    (output,) = outputs_of(
        shown(
            {"text/html": "<table>tok-3f9a77</table>", "text/plain": "ok"},
            {"ctnb": {"safe": True}, "rows": ["Ada"]},
        ),
        secrets=("tok-3f9a77",),
    )
    assert output.data == {"text/html": "<table>[secret]</table>", "text/plain": "ok"}
    assert output.metadata == {"ctnb": {"safe": True}}


def test_an_image_is_kept_up_to_its_limit() -> None:
    """A large image leaves a note instead."""
    small, large = outputs_of(
        shown({"image/png": "A" * 100}), shown({"image/png": "A" * 400}), limits=Limits(image_bytes=100)
    )
    assert small.data == {"image/png": "A" * 100}
    assert large.data == {"text/plain": "[cut: image/png was larger than the limit]"}


def test_an_updated_display_replaces_the_first_one() -> None:
    """A progress line that is updated leaves its last state, under the same rules."""
    (output,) = outputs_of(
        ("display_data", {"data": {"text/plain": "1"}, "metadata": {}, "transient": {"display_id": "p"}}),
        (
            "update_display_data",
            {"data": {"text/plain": "2"}, "metadata": {}, "transient": {"display_id": "p"}},
        ),
    )
    assert output.data == {"text/plain": "2"}


def test_cleared_output_goes_when_the_next_one_comes() -> None:
    """clear_output(wait=True) keeps the old until there is a new."""
    kept = outputs_of(printed("old\n"), ("clear_output", {"wait": True}), printed("new\n"))
    assert [output.text for output in kept] == ["new\n"]


def test_an_error_keeps_its_types_and_places_and_no_message(tmp_path: Path) -> None:
    """A message that imitates a traceback's line adds nothing."""
    log: list[str] = []
    (output,) = outputs_of(
        (
            "error",
            {
                "ename": "KeyError",
                "evalue": "'Ada'",
                "traceback": [
                    "\x1b[31m-----\x1b[39m",
                    "ValueError                 Traceback (most recent call last)",
                    "File ~/lib/site-packages/pandas/core/frame.py:12, in DataFrame.get(self)\n--> 12 'Ada'",
                    "ValueError: Ada\nFile Ada.py:3, in Ada",
                    "\nDuring handling of the above exception, another exception occurred:\n",
                    "KeyError                   Traceback (most recent call last)",
                    "Cell In[2], line 7\n----> 7 d['Ada']",
                    "KeyError: 'Ada'",
                ],
            },
        ),
        log=log,
    )
    assert (output.ename, output.evalue) == ("KeyError", KEPT_ELSEWHERE)
    assert list(output.traceback) == [
        "ValueError raised at",
        "  core/frame.py, line 12, in DataFrame.get",
        "which led to",
        "KeyError raised at",
        "  cell 2, line 7",
        f"KeyError: {KEPT_ELSEWHERE}",
    ]
    assert "'Ada'" in log[0]


def test_an_exception_whose_name_is_not_a_name_is_called_error() -> None:
    """Kernels are not trusted with the name either."""
    (output,) = outputs_of(("error", {"ename": "Ada Lovelace, 41", "evalue": "", "traceback": []}))
    assert output.ename == "Error"
