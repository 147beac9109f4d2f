"""
What a cell sent out, kept as the record may hold it.

Printed text is scrubbed and redacted. Anything displayed is denied unless ctnb made it (metadata
`{"ctnb": {"safe": true}}`) or it is a plain number, None or a boolean. Text on stderr becomes a count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from nbformat.notebooknode import NotebookNode

from ctnb.kernels.drawings import without_drawings
from ctnb.kernels.failures import full_text, safe_error
from ctnb.kernels.outcomes import Limits
from ctnb.kernels.scrubbing import Scrubber

SAFE = {"safe": True}
"""What the `ctnb` metadata of a display must be for its text to be kept."""

IMAGES = ("image/png", "image/jpeg", "image/gif")
TEXTS = ("text/plain", "text/html", "text/markdown")

_SLACK_CHARS = 4096  # read beyond the limit, so that a secret across it is still found
_NUMBER = (
    r"[-+]?(?:\d{1,8}(?:\.\d*)?(?:e[-+]?\d{1,3})?|nan|inf)"  # 9 digits could be a Social Security number
)
_SIMPLE = re.compile(
    rf"(?:None|True|False|TRUE|FALSE|NULL|(?:\[1\] )?{_NUMBER}|np\.\w{{1,12}}\((?:True|False|{_NUMBER})\)"
    rf"|\(\d{{1,8}}, \d{{1,8}}\)|<Figure size \d+x\d+ with \d+ Axes>)\Z"
)


@dataclass
class _Stream:
    """Printed text as it came, up to a little more than may be kept."""

    parts: list[str] = field(default_factory=list)
    kept_chars: int = 0
    total_bytes: int = 0


@dataclass
class _Stderr:
    """How many lines a cell wrote to stderr."""

    lines: int = 0
    ended: bool = True


@dataclass
class _Shown:
    """A display or an error, as it is kept."""

    node: NotebookNode


_Item: TypeAlias = _Stream | _Stderr | _Shown


class NotebookOutputs:
    """The outputs of a whole notebook: what its cells share while they are filled."""

    def __init__(self, scrubber: Scrubber, limits: Limits, log: Callable[[str], None]) -> None:
        """`log` takes what may not be kept: stderr and the full text of errors."""
        self.scrubber, self.limits, self.log = scrubber, limits, log
        self.used_bytes = 0
        self.displays: dict[str, list[tuple[CellOutputs, NotebookNode]]] = {}

    def take(self, size_bytes: int) -> bool:
        """Whether the notebook still has room for so many bytes, which are then used."""
        if self.used_bytes + size_bytes > self.limits.notebook_bytes:
            return False
        self.used_bytes += size_bytes
        return True


class CellOutputs:
    """The outputs of one cell."""

    def __init__(self, notebook: NotebookOutputs, cell: NotebookNode) -> None:
        self._notebook, self._cell = notebook, cell
        self._items: list[_Item] = []
        self._dropped = 0
        self._clear_next = False
        self.changed = False

    def receive(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take one message of the kernel's IOPub channel; kinds that are not outputs are ignored."""
        act = {
            "stream": self._stream,
            "display_data": self._display,
            "execute_result": self._display,
            "update_display_data": self._update,
            "error": self._error,
        }.get(kind)
        if kind == "clear_output":
            self._clear(wait=bool(content.get("wait")))
        elif act:
            if self._clear_next:
                self._clear(wait=False)
            act(content)
            self.changed = True

    def write(self, *, final: bool) -> None:
        """Put what may be kept into the cell; before the `final` time an unfinished last line waits."""
        items = [item for item in self._items if not isinstance(item, _Stderr)]
        last = items[-1] if items else None
        nodes = [self._node(item, final=final or item is not last) for item in self._items]
        if self._dropped:
            nodes.append(_note(f"[cut: {self._dropped:,} more outputs of this cell]"))
        self._cell.outputs = [node for node in nodes if node is not None]
        self.changed = False

    def _node(self, item: _Item, *, final: bool) -> NotebookNode | None:
        if isinstance(item, _Stream):
            return self._stream_node(item, final=final)
        if isinstance(item, _Stderr):
            lines = f"{item.lines:,} line{'' if item.lines == 1 else 's'}"
            return _stream("stderr", f"{lines} on stderr (kept in the private work folder)\n")
        return item.node

    def _stream_node(self, item: _Stream, *, final: bool) -> NotebookNode | None:
        raw = "".join(item.parts)
        scrubber, limit = self._notebook.scrubber, self._notebook.limits.output_bytes
        whole = item.total_bytes <= limit
        if not whole:
            raw = _cut_lines(raw, limit, scrubber)
        elif not final:
            raw = raw[: scrubber.complete(raw)]
        text = scrubber.clean(without_drawings(raw))
        if not whole:
            text += (
                f"\n[cut: {item.total_bytes:,} bytes were printed, the first {limit:,} at most are kept]\n"
            )
        return _stream("stdout", text) if text else None

    def _stream(self, content: Mapping[str, Any]) -> None:
        text = str(content.get("text") or "")
        if text and content.get("name") == "stderr":
            self._stderr(text)
        elif text:
            self._stdout(text)

    def _stdout(self, text: str) -> None:
        printed = [item for item in self._items if not isinstance(item, _Stderr)]
        if printed and isinstance(printed[-1], _Stream):
            stream = printed[-1]
        else:
            stream = _Stream()
            if not self._append(stream):
                return
        longest = self._notebook.limits.output_bytes + self._notebook.scrubber.longest + _SLACK_CHARS
        kept = text[: max(longest - stream.kept_chars, 0)]
        size = len(text.encode(errors="replace"))
        if self._notebook.take(min(len(kept.encode(errors="replace")), self._notebook.limits.output_bytes)):
            stream.parts.append(kept)
            stream.kept_chars += len(kept)
        else:
            size = max(size, self._notebook.limits.output_bytes + 1)  # say that something is missing
        stream.total_bytes += size

    def _stderr(self, text: str) -> None:
        self._notebook.log(text)
        found = next((item for item in self._items if isinstance(item, _Stderr)), None)
        counted = found or _Stderr()
        if found is None:
            self._items.append(counted)
        counted.lines += text.count("\n") + (not text.endswith("\n")) - (not counted.ended)
        counted.ended = text.endswith("\n")

    def _display(self, content: Mapping[str, Any]) -> None:
        node = self._shown(content)
        if not self._append(_Shown(node)):
            return
        name = (content.get("transient") or {}).get("display_id")
        if name:
            self._notebook.displays.setdefault(str(name), []).append((self, node))

    def _update(self, content: Mapping[str, Any]) -> None:
        name = str((content.get("transient") or {}).get("display_id"))
        for cell, node in self._notebook.displays.get(name, ()):
            new = self._shown({**content, "execution_count": node.get("execution_count")})
            if self._notebook.take(_size(new)):
                node.data, node.metadata = new.data, new.metadata
                cell.changed = True

    def _error(self, content: Mapping[str, Any]) -> None:
        self._notebook.log(full_text(content))
        node = safe_error(content)
        clean = self._notebook.scrubber.clean
        node.traceback = [clean(line) for line in node.traceback]
        self._items.append(_Shown(node))  # never cut: it says why the cell failed

    def _append(self, item: _Stream | _Shown) -> bool:
        room = len(self._items) < self._notebook.limits.cell_outputs
        if room and isinstance(item, _Shown):
            room = self._notebook.take(_size(item.node))
        if room:
            self._items.append(item)
        else:
            self._dropped += 1
        return room

    def _clear(self, *, wait: bool) -> None:
        self._clear_next = wait
        if not wait:
            self._items = [item for item in self._items if isinstance(item, _Stderr)]
            self.changed = True

    def _shown(self, content: Mapping[str, Any]) -> NotebookNode:
        """The display that may be kept for one the kernel sent."""
        data, metadata = content.get("data") or {}, content.get("metadata") or {}
        safe = metadata.get("ctnb") == SAFE
        kept: dict[str, str] = {}
        for mime, value in data.items():
            text = self._allowed(mime, "".join(value) if isinstance(value, list) else value, safe=safe)
            if text is not None:
                kept[mime] = text
        if not kept or (set(kept) == {"text/plain"} and not kept["text/plain"]):
            kept["text/plain"] = _refusal(data)
        node = NotebookNode(output_type="display_data", data=NotebookNode(kept), metadata=NotebookNode())
        if "execution_count" in content:
            node.output_type, node.execution_count = "execute_result", content["execution_count"]
        if safe:
            node.metadata.ctnb = NotebookNode(SAFE)
        return node

    def _allowed(self, mime: str, value: Any, *, safe: bool) -> str | None:
        if not isinstance(value, str):
            return None
        limits, scrubber = self._notebook.limits, self._notebook.scrubber
        if mime in IMAGES:
            return value if len(value) * 3 // 4 <= limits.image_bytes else None
        if mime not in TEXTS or not (safe or (mime == "text/plain" and _SIMPLE.match(value))):
            return None
        if len(value.encode(errors="replace")) <= limits.output_bytes:
            return scrubber.clean(value)
        if mime != "text/plain":
            return None  # half of a page is not a page
        return scrubber.clean(_cut_lines(value, limits.output_bytes, scrubber)) + "\n[cut]"


def _cut_lines(text: str, limit_bytes: int, scrubber: Scrubber) -> str:
    """The first `limit_bytes` of `text`, up to the end of a line where there is one, cutting no secret."""
    head = text.encode(errors="replace")[:limit_bytes].decode(errors="ignore")
    end = head.rfind("\n") + 1 or len(head)
    probe = text[: len(head) + scrubber.longest + _SLACK_CHARS]
    return probe[: scrubber.boundary(probe, end)]


def _refusal(data: Mapping[str, Any]) -> str:
    large = [mime for mime in IMAGES if mime in data]
    if large:
        return f"[cut: {large[0]} was larger than the limit]"
    size = max((len(str(value)) for value in data.values()), default=0)
    return (
        f"[not kept: an output of {size:,} characters; ctnb keeps only displays it knows to be free of data]"
    )


def _stream(name: str, text: str) -> NotebookNode:
    return NotebookNode(output_type="stream", name=name, text=text)


def _note(text: str) -> NotebookNode:
    return _stream("stdout", text + "\n")


def _size(node: Mapping[str, Any]) -> int:
    return sum(len(str(value)) for value in (node.get("data") or {}).values())
