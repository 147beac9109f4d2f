"""Proposing a dataset: all rows of its source are read, and a dataset.yml is written for a person to correct."""

from __future__ import annotations

import difflib
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ctnb import datasets, documents, reads, snapshots, tables
from ctnb.contracts.columns import Column
from ctnb.contracts.rejects import Rejects
from ctnb.datasets import Dataset
from ctnb.errors import CtnbError, SourceInvalid, UsageError
from ctnb.places.fetched import Fetched
from ctnb.places.fetching import Gathered
from ctnb.privacy.detection import found_in
from ctnb.proposals import naming, profiles, roles, sniffing, types, writing
from ctnb.proposals.profiles import Profile
from ctnb.proposals.types import Choice
from ctnb.proposals.writing import Draft, Proposed
from ctnb.settings import Project
from ctnb.snapshots import Snapshot
from ctnb.sources.formats import open_source
from ctnb.sources.opened import Asked
from ctnb.sources.workbook_shape import listed
from ctnb.values import TYPES

_MUCH_ALIKE = 0.8
_READ_AGAIN_BYTES = 64 << 20
_THREADS = 2
_MEMORY_MB = 750
"""Memory that DuckDB may take, in MB; what is larger spills."""


@dataclass(frozen=True)
class Proposal:
    """What `propose` wrote and found."""

    path: Path
    """The dataset.yml."""
    draft: Draft
    """What it says."""
    rows_read: int
    rows_kept: int
    rows_rejected: int
    account: str
    """Where every row went when the source was read under the proposed contract, as a sentence."""
    questions: tuple[str, ...]
    """What only a person can answer, each with the column it is about."""


def propose(
    project: Project, slug: str, source: str, *, sheet: str | None = None, member: str | None = None
) -> Proposal:
    """
    Read all rows of the file `source` and write `notebooks/<slug>/dataset.yml` as a proposal.

    `sheet` is a workbook's, by name or number from 1; `member` is the file of an archive. The only one when None.

    The proposed contract has then read its own source. Raises UsageError when the dataset is there already,
    SourceInvalid when the source cannot be read or has no header row; nothing is written then.
    """
    folder = project.notebooks / datasets.check_slug(slug)
    if (folder / "dataset.yml").exists():
        raise UsageError(
            f"There is a dataset {slug} already.", hint="Choose another slug, or edit its dataset.yml."
        )
    found = snapshots.locate(source, Path.cwd(), [], told=source)
    with tempfile.TemporaryDirectory(prefix="new-", dir=project.private) as made:
        work = Path(made)
        snapshot = snapshots.take(found, work, told=True)
        asked = Asked(sheet=int(sheet) if sheet and sheet.isdecimal() else sheet, member=member)
        draft = _draft(project, slug, found, snapshot, asked, work)
        text = writing.text(draft)
        dataset = _dataset(text, slug, work)
        left_out = _read_again(dataset, draft, snapshot, work)
    folder.mkdir(parents=True, exist_ok=True)
    documents.write_text(folder / "dataset.yml", text)
    kept = draft.rows - draft.rejects - sum(left_out.values())
    account = reads.account_sentence(kept, draft.rejects, left_out)
    return Proposal(folder / "dataset.yml", draft, draft.rows, kept, draft.rejects, account, questions(draft))


def questions(draft: Draft) -> tuple[str, ...]:
    """What only a person can answer about `draft`; columns without a role in one line."""
    asked = ["What is one row: person, group or other? (unit:)", *draft.asks]
    asked += [f"{column.name}: {ask}" for column in draft.columns for ask in column.choice.asks]
    without = [column.name for column in draft.columns if column.suggestion.role is None]
    if without:
        more = f" and {len(without) - 6} more" if len(without) > 6 else ""
        asked.append(f"Which role have {', '.join(without[:6])}{more}?")
    if draft.keys:
        asked.append(f"Which column identifies a row? Candidates: {', '.join(draft.keys[:6])}. (key:)")
    return tuple(asked)


def _draft(project: Project, slug: str, found: Path, snapshot: Snapshot, asked: Asked, work: Path) -> Draft:
    delimiter = sniffing.delimiter(snapshot.path, found.name)
    asked = replace(asked, delimiter=delimiter)
    opened = open_source(snapshot.path, found.name, asked)
    asked = replace(asked, encoding=opened.encoding or "auto")
    header = opened.header
    _check_header(header)
    with tables.connect(work, threads=_THREADS, memory_mb=_MEMORY_MB) as connection:
        connection.execute(
            "SET preserve_insertion_order=false"
        )  # which row a cell stands in is not asked here
        loaded = opened.load(connection, work)
        seen = profiles.profiles(connection, header)
        _check_not_data(header, seen)
        choices = [types.choose(profile) for profile in seen]
        names = naming.names(header)
        columns = [_column(name, choice) for name, choice in zip(names, choices, strict=True)]
        suggested = roles.suggestions(connection, columns, seen)
    places = naming.positions(header)
    proposed = tuple(
        Proposed(names[at], header[at], places[at], choices[at], suggested[at], _notes(seen[at]))
        for at in range(len(header))
    )
    path, notes = _path(project, project.notebooks / slug, found)
    title = re.sub(r"[-_\s]+", " ", found.stem).strip().capitalize() or slug
    return Draft(
        slug=slug, title=title, path=path, asked=asked, columns=proposed, nulls=_nulls(choices),
        rows=seen[0].rows + len(loaded.misfits) + sum(loaded.left_out.values()),
        keys=_keys(proposed, seen), rejects=len(loaded.misfits), left_out=loaded.left_out,
        notes=(*notes, *_delimited(delimiter), *loaded.notes),
        asks=(
            *_left_notes(loaded.left_out_at), *_wide(header), *_nulls_elsewhere(choices, seen, names),
            *_like_others(project, title, header),
        ),
    )  # fmt: skip


def _keys(columns: Sequence[Proposed], seen: Sequence[Profile]) -> tuple[str, ...]:
    """The columns that could identify a row: a different cell in each, and no amount."""
    return tuple(
        column.name
        for column, profile in zip(columns, seen, strict=True)
        if profile.unique
        and column.choice.kind.type in ("text", "code", "integer", "url")
        and column.suggestion.role not in ("measure", "free_text")
    )


def _column(name: str, choice: Choice) -> Column:
    scaled = TYPES[choice.kind.type].default_scale is not None and choice.kind.type != "money"
    return Column(
        name=name,
        type=choice.kind.type,
        scale=choice.kind.scale if scaled else None,
        format=choice.kind.format,
    )


def _dataset(text: str, slug: str, work: Path) -> Dataset:
    """
    The dataset that the proposed `text` is, in the private folder `work`.

    Records that do not have the header's width are let pass here, and only here, so that they are counted.
    """
    folder = work / "notebooks" / slug
    folder.mkdir(parents=True)
    documents.write_text(folder / "dataset.yml", text)
    dataset = datasets.dataset(slug, work / "notebooks")
    contract = dataset.contract.model_copy(update={"rejects": Rejects(at_most_share=1.0)})
    return Dataset(slug, dataset.folder, contract, dataset.fingerprint)


def _read_again(dataset: Dataset, draft: Draft, snapshot: Snapshot, work: Path) -> Mapping[str, int]:
    """
    Read the snapshot under the proposed contract as `ctnb.read` will, and compare the account.

    A source larger than 64 MB is not read again: its cells were all parsed as the contract says, and its header
    is matched. Returns the records left out, by rule.
    """
    if snapshot.bytes > _READ_AGAIN_BYTES:
        reads.match([column.header for column in draft.columns], dataset.contract.columns, ())
        return draft.left_out
    reading = work / "reading"
    reading.mkdir()
    found = reads.read(dataset, Gathered((Fetched((snapshot,)),), told=True), reading)
    if (found.rows_read, found.rows_rejected) != (draft.rows, draft.rejects):
        raise CtnbError("The proposed contract does not read its own source: this is a mistake in ctnb.")
    return found.left_out


def _check_header(header: Sequence[str]) -> None:
    """Nothing is written when the header holds what identifies people: it is a row then."""
    for place, cell in enumerate(header, 1):
        kinds = found_in(cell)
        if kinds:
            raise SourceInvalid(
                f"The header's cell {place} looks like {kinds[0]}: the first row seems to be data.",
                hint="Add a row with the names of the columns to the source.",
            )


def _check_not_data(header: Sequence[str], seen: Sequence[Profile]) -> None:
    """A first row whose cells are of the columns' types is a row like the others; years and days may be headers."""
    years = set(naming.wide(header))
    typed = [profile for profile in seen if _all_digits_or_marks(profile)]
    like = [
        profile for profile in typed
        if profile.position not in years and re.fullmatch(r"[-+$(]*[0-9][-+0-9.,/:$%() ]*", profile.header.strip())
    ]  # fmt: skip
    if like and 2 * len(like) >= len(typed):
        raise SourceInvalid(
            f"{len(like)} of {len(typed)} columns of numbers or dates have a number or date in the header row: "
            "the first row seems to be data.",
            hint="Add a row with the names of the columns to the source.",
        )


def _all_digits_or_marks(profile: Profile) -> bool:
    return any(
        misfits == 0 and kind.type not in ("boolean", "url", "point")
        for kind, misfits in profile.misfits.items()
    )


def _path(project: Project, folder: Path, found: Path) -> tuple[str, tuple[str, ...]]:
    """How the contract says where the source is, and what must be done that it may be read there."""
    if found.is_relative_to(project.notebooks.resolve()):
        return Path(os.path.relpath(found, folder.resolve())).as_posix(), ()
    listed = [(project.root / root).resolve() for root in project.settings.roots]
    inside = found.is_relative_to(project.root)
    path = Path(os.path.relpath(found, folder.resolve())).as_posix() if inside else str(found)
    if any(found.is_relative_to(root) for root in listed):
        return path, ()
    root = found.parent.relative_to(project.root).as_posix() if inside else str(found.parent)
    return path, (
        f"The source lies outside notebooks/: list its folder in ctnb.yml, roots: [{root}], or move it.",
    )


def _notes(profile: Profile) -> tuple[str, ...]:
    if profile.filled == profile.rows or not profile.filled:
        return ()
    return (f"{profile.rows - profile.filled:,} of {profile.rows:,} cells are empty.",)


def _nulls(choices: Sequence[Choice]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for choice in choices for word in choice.nulls))


def _nulls_elsewhere(
    choices: Sequence[Choice], seen: Sequence[Profile], names: Sequence[str]
) -> tuple[str, ...]:
    """Words for an empty cell hold in every column; where they also stand in text, a person decides."""
    words = set(_nulls(choices))
    hit = [
        f"{name} ({count:,})"
        for name, choice, profile in zip(names, choices, seen, strict=True)
        if not choice.nulls and (count := sum(n for word, n in profile.null_words.items() if word in words))
    ]
    return (f"The words under nulls: also stand in {', '.join(hit[:8])}: empty there too?",) if hit else ()


def _delimited(delimiter: str | None) -> tuple[str, ...]:
    return (f"Cells are separated by a {sniffing.DELIMITERS[delimiter]}.",) if delimiter else ()


def _left_notes(left_out_at: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    """Where notes stand that were left out; they are not copied, because they may name a person."""
    rows = sorted({*left_out_at.get("title rows", ()), *left_out_at.get("footnotes", ())})
    if not rows:
        return ()
    return (
        f"Notes were left out: {listed(rows)} of the sheet. Do they belong into description:? Copy what does, without "
        "names of people.",
    )


def _wide(header: Sequence[str]) -> tuple[str, ...]:
    places = naming.wide(header)
    if not places:
        return ()
    return (
        f"{len(places)} headers are years or dates (columns {places[0]} to {places[-1]}): a wide table, which needs a "
        "new column for each new period. Pivot it longer, one row for each period? UNPIVOT in transform.sql does it.",
    )


def _like_others(project: Project, title: str, header: Sequence[str]) -> tuple[str, ...]:
    """The datasets of the project that this source may belong to."""
    own, asked = _said(header), []
    for slug in datasets.slugs(project.notebooks):
        try:
            contract = datasets.dataset(slug, project.notebooks).contract
        except CtnbError:
            continue  # ctnb check tells about it
        other = _said([column.header or column.name for column in contract.columns])
        alike = len(own & other) / max(1, len(own | other))
        titles = difflib.SequenceMatcher(None, title.lower(), contract.title.lower()).ratio()
        if alike >= _MUCH_ALIKE or (titles >= _MUCH_ALIKE and alike >= _MUCH_ALIKE / 2):
            asked.append(
                f"{alike:.0%} of the columns are those of the dataset {slug}. Should these rows be appended there "
                "(portal: mode: append) instead of becoming a dataset of their own?"
            )
    return tuple(asked)


def _said(header: Sequence[str]) -> set[str]:
    return {"_".join(re.findall(r"[a-z0-9]+", cell.lower())) for cell in header}
