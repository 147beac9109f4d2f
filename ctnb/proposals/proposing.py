"""Proposing a dataset: all rows of its source are read, and a dataset.yml is written for a person to correct."""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb import datasets, documents, reads, secrets, tables
from ctnb.contracts.columns import Column
from ctnb.contracts.rejects import Rejects
from ctnb.contracts.sources import Source
from ctnb.datasets import Dataset
from ctnb.errors import CtnbError, SourceInvalid, UsageError
from ctnb.places import fetching, local_files
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.places.fetching import Gathered
from ctnb.proposals import cells, naming, offers, places, profiles, roles, sniffing, types, writing
from ctnb.proposals.header_rows import check_header, check_not_data
from ctnb.proposals.offers import Offer
from ctnb.proposals.places import Located, Told
from ctnb.proposals.profiles import Profile
from ctnb.proposals.types import Choice
from ctnb.proposals.writing import Destination, Draft, Proposed
from ctnb.settings import Project
from ctnb.sources import archives
from ctnb.sources.formats import open_source
from ctnb.sources.opened import Opened
from ctnb.sources.workbook_shape import listed
from ctnb.values import TYPES, Kind, parse_sql, trimmed

if TYPE_CHECKING:
    import duckdb

_MUCH_ALIKE = 0.8
_READ_AGAIN_BYTES = 64 << 20
_MISTAKE = "The proposed contract does not read its own source: this is a mistake in ctnb."
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
    project: Project, slug: str, source: str, told: Told | None = None, *,
    progress: Callable[[Progress], None] | None = None, destination: Destination | None = None,
) -> Proposal:  # fmt: skip
    """
    Read all rows of `source` and write `notebooks/<slug>/dataset.yml` as a proposal.

    `source` is a path, a folder, an address or connection:NAME; `told` is what else is said of it. The proposed
    contract has then read its own source. Raises UsageError when the dataset is there already or `source` cannot
    be one, SourceInvalid when it cannot be read or has no header row, SourceFailed; nothing is written then.
    `destination` is where it is published, when somebody said that already.
    """
    folder = free_folder(project, slug)
    at = places.located(project, slug, source, told or Told())
    _check_query(folder, at.query)
    with tempfile.TemporaryDirectory(prefix="new-", dir=project.private) as made:
        work = Path(made)
        (work / "notebooks" / slug).mkdir(parents=True)
        fetched = _fetch(project, slug, at, work, progress or (lambda seen: None))
        draft = replace(drafted(project, slug, at, fetched, work), destination=destination or Destination())
        text = writing.text(draft)
        dataset = _dataset(text, slug, work)
        left_out = _read_again(dataset, draft, fetched, work)
    folder.mkdir(parents=True, exist_ok=True)
    if at.query:
        documents.write_bytes(folder / at.query.name, at.query.read_bytes())
    documents.write_text(folder / "dataset.yml", text)
    kept = draft.rows - draft.rejects - sum(left_out.values())
    account = reads.account_sentence(kept, draft.rejects, left_out)
    return Proposal(folder / "dataset.yml", draft, draft.rows, kept, draft.rejects, account, questions(draft))


def _bound_for(draft: Draft, destination: Destination) -> Draft:
    """`draft` on its way to `destination`, whose row identifier may not be one of its columns."""
    if destination.key in ("", *(column.name for column in draft.columns)):
        return replace(draft, destination=destination)
    ask = f"The portal's row identifier is {destination.key}. Which column is that here? (key:, name:)"
    return replace(draft, destination=replace(destination, key="", mode="replace"), asks=(*draft.asks, ask))


def free_folder(project: Project, slug: str) -> Path:
    """The folder that the new dataset `slug` gets. Raises UsageError when there is one already."""
    folder = project.notebooks / datasets.check_slug(slug)
    if (folder / "dataset.yml").exists():
        raise UsageError(
            f"There is a dataset {slug} already.", hint="Choose another slug, or edit its dataset.yml."
        )
    return folder


def _check_query(folder: Path, query: Path | None) -> None:
    """Raise UsageError where a copy of `query` would replace another file."""
    there = folder / query.name if query else None
    if query and there and there.exists() and there.read_bytes() != query.read_bytes():
        raise UsageError(
            f"There is another {query.name} in the dataset's folder.", hint="Give one of them another name."
        )


def questions(draft: Draft) -> tuple[str, ...]:
    """What only a person can answer about `draft`; columns without a role in one line."""
    asked = ["What is one row: person, group or other? (unit:)", *draft.asks]
    asked += [f"{column.name}: {ask}" for column in draft.columns for ask in column.choice.asks]
    without = [column.name for column in draft.columns if column.suggestion.role is None]
    if without:
        more = f" and {len(without) - 6} more" if len(without) > 6 else ""
        asked.append(f"Which role have {', '.join(without[:6])}{more}?")
    if draft.keys and not draft.destination.key:
        asked.append(f"Which column identifies a row? Candidates: {', '.join(draft.keys[:6])}. (key:)")
    return tuple(asked)


def _fetch(
    project: Project, slug: str, at: Located, work: Path, progress: Callable[[Progress], None]
) -> Fetched:
    """What lies there now. A file that a person names may be young, and lie outside the roots."""
    request = Request(
        work=work, folder=project.notebooks.resolve() / slug, project=project.root,
        roots=(*fetching.roots(project.settings.roots, project.root), *at.roots),
        connections=project.settings.connections, again=True, secret=secrets.value, key=project.key,
        progress=progress,
    )  # fmt: skip
    if at.file:
        return local_files.fetch("", request, told=str(at.file))
    source = at.source
    if source.folder:
        now = source.folder.model_copy(update={"at_least_age_s": 0.0, "stable_s": 0.0})
        source = source.model_copy(update={"folder": now})
    if at.query:
        request = replace(request, folder=work / "notebooks" / slug)
        documents.write_bytes(request.folder / at.query.name, at.query.read_bytes())
    return fetching.fetch(source, request)


def drafted(project: Project, slug: str, at: Located, fetched: Fetched, work: Path) -> Draft:
    """What a dataset.yml of `slug` could say, from all rows of what was `fetched`. Raises SourceInvalid."""
    source, opened = _opened(at.source, fetched)
    header = opened.header
    check_header(header)
    with tables.connect(work, threads=_THREADS, memory_mb=_MEMORY_MB) as connection:
        connection.execute(
            "SET preserve_insertion_order=false"
        )  # nobody asks here in which row a cell stands
        loaded = opened.load(connection, work)
        seen = profiles.profiles(connection, header)
        check_not_data(header, seen)
        choices = [
            _as_known(connection, types.choose(profile), profile, fetched.types.get(profile.header.strip()))
            for profile in seen
        ]
        choices = offers.agreed(choices, header, [profile.told for profile in seen])
        names = naming.names(header)
        columns = [_column(name, choice) for name, choice in zip(names, choices, strict=True)]
        suggested = roles.suggestions(connection, columns, seen)
    positions = naming.positions(header)
    proposed = tuple(
        Proposed(names[n], header[n], positions[n], choices[n], suggested[n], _notes(seen[n]))
        for n in range(len(header))
    )
    title = re.sub(r"[-_\s]+", " ", at.title).strip().capitalize() or slug.replace("-", " ").capitalize()
    rows = seen[0].rows + len(loaded.misfits) + sum(loaded.left_out.values())
    _check_rows(rows, fetched)
    return Draft(
        slug=slug, title=title, source=source, columns=proposed, nulls=_nulls(choices), rows=rows,
        keys=_keys(proposed, seen), rejects=len(loaded.misfits), left_out=loaded.left_out,
        notes=(*at.notes, *_delimited(source, at.source), *fetched.notes, *loaded.notes),
        asks=(
            *_left_notes(loaded.left_out_at), *_wide(header), *_nulls_elsewhere(choices, seen, names),
            *_like_others(project, title, header),
        ),
        offers=_offers(names, header, choices, seen),
    )  # fmt: skip


def _opened(source: Source, fetched: Fetched) -> tuple[Source, Opened]:
    """The file that was fetched, opened, and `source` with what was seen of how it is written."""
    snapshot, kind = fetched.snapshots[0], fetched.format or source.format
    if source.place in ("database", "socrata", "opendatasoft", "census"):
        return source, open_source(snapshot.path, snapshot.name, source.asked, format=kind)
    path, name = archives.unpacked(snapshot.path, snapshot.name, source.asked)
    seen = source.delimiter or sniffing.delimiter(path, name, kind)
    asked = replace(source.asked, delimiter=seen, member=None)
    opened = open_source(path, name, asked, format=kind)
    said = {"delimiter": seen, "encoding": opened.encoding}
    return source.model_copy(update={key: one for key, one in said.items() if one}), opened


def _as_known(
    connection: duckdb.DuckDBPyConnection, choice: Choice, profile: Profile, known: str | None
) -> Choice:
    """What the source's place knows of the type counts more than a guess, where every cell fits it."""
    if known is None:
        return choice
    scale = {
        "number": min(profile.marks.decimals, 12),
        "percent": min(profile.marks.decimals, 12),
        "money": 2,
    }
    kind, cell = Kind(known, scale.get(known, 0)), trimmed(f"c{profile.position}")
    misfits = cells.numbers(
        connection,
        f"SELECT count(*) FILTER ({cell} <> '' AND ({parse_sql(kind, cell)}) IS NULL) FROM numbered",
    )[0]
    return types.as_known(choice, known, kind, misfits, profile)


def _offers(
    names: Sequence[str], header: Sequence[str], choices: Sequence[Choice], seen: Sequence[Profile]
) -> tuple[Offer, ...]:
    zips = [
        offers.repair(name, profile.widths)
        for name, choice, profile in zip(names, choices, seen, strict=True)
        if choice.zips
    ]
    return tuple(one for one in (*zips, offers.pivot(names, header, choices)) if one)


def _check_rows(rows: int, fetched: Fetched) -> None:
    if fetched.rows is not None and fetched.rows != rows:
        raise SourceInvalid(
            f"The source says that it has {fetched.rows:,} rows, and {rows:,} came.", hint="Try again."
        )


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
    documents.write_text(folder / "dataset.yml", text)
    dataset = datasets.dataset(slug, work / "notebooks")
    contract = dataset.contract.model_copy(update={"rejects": Rejects(at_most_share=1.0)})
    return Dataset(slug, dataset.folder, contract, dataset.fingerprint)


def _read_again(dataset: Dataset, draft: Draft, fetched: Fetched, work: Path) -> Mapping[str, int]:
    """
    Read the snapshot under the proposed contract as `ctnb.read` will, and compare the account.

    A source larger than 64 MB is not read again: its cells were all parsed as the contract says, and its header
    is matched. Returns the records left out, by rule.
    """
    if sum(snapshot.bytes for snapshot in fetched.snapshots) > _READ_AGAIN_BYTES:
        if reads.match([column.header for column in draft.columns], dataset, ()).changes:
            raise CtnbError(_MISTAKE)
        return draft.left_out
    reading = work / "reading"
    reading.mkdir()
    found = reads.read(dataset, Gathered((fetched,), told=True), reading)
    if (found.rows_read, found.rows_rejected) != (draft.rows, draft.rejects) or found.drift:
        raise CtnbError(_MISTAKE)
    return found.left_out


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


def _delimited(seen: Source, told: Source) -> tuple[str, ...]:
    if not seen.delimiter or seen.delimiter == told.delimiter:
        return ()
    return (f"Cells are separated by a {sniffing.DELIMITERS[seen.delimiter]}.",)


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
        "new column for each new period. Pivot it longer, one row for each period? The rule is offered.",
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
