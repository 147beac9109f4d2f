"""
The one table of types: how a contract type is read from text, stored, shown and written canonically.

No other mapping exists. SQL in this module is DuckDB's; expressions take the name of a VARCHAR or typed
expression and return SQL text. Every parse is total: what cannot be converted becomes NULL, never an error,
so that the caller can tell a reject (text there, value NULL) from an empty cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

NUMBER_DIGITS = 18
"""Digits of a DECIMAL column: the most that DuckDB and Parquet keep in 64 bits."""

POINT_SCALE = 6
"""Decimals of a coordinate, in degrees: about a decimetre."""

BLANKS = " \t\r\n"
"""What does not count around a cell that is not text."""


@dataclass(frozen=True)
class Kind:
    """The type of one column, as the contract says it."""

    type: str
    """One of the keys of `TYPES`."""
    scale: int = 0
    """Digits after the decimal point; only number, money and percent have any."""
    format: str | None = None
    """How dates and timestamps are written in the source, e.g. MM/DD/YYYY; ISO 8601 when None."""


@dataclass(frozen=True)
class TypeRow:
    """One row of the table of types."""

    parquet: str
    """DuckDB's and Parquet's type; {scale} is filled in."""
    pandas: str
    """The dtype that `Table.df` gives."""
    r: str
    """The R vector that a transform receives."""
    soda: str
    """Socrata's dataTypeName."""
    opendatasoft: str
    """Opendatasoft's field type."""
    canonical: str
    """The text that the content digest hashes."""
    default_scale: int | None = None
    """Scale where the contract gives none; None: the type has no scale."""


TYPES: dict[str, TypeRow] = {
    "text": TypeRow("VARCHAR", "string[pyarrow]", "character", "text", "text", "the text, unchanged"),
    "code": TypeRow("VARCHAR", "string[pyarrow]", "character", "text", "text", "the text, blanks around it gone"),
    "integer": TypeRow("BIGINT", "int64[pyarrow]", "integer, or double beyond 2^31", "number", "int", "decimal digits"),
    "number": TypeRow(f"DECIMAL({NUMBER_DIGITS},{{scale}})", "double[pyarrow]", "double", "number", "double",
                      "decimal digits at the contract's scale", 6),
    "money": TypeRow(f"DECIMAL({NUMBER_DIGITS},{{scale}})", "decimal128(18, 2)[pyarrow]", "double", "number", "double",
                     "decimal digits at scale 2", 2),
    "percent": TypeRow(f"DECIMAL({NUMBER_DIGITS},{{scale}})", "double[pyarrow]", "double", "number", "double",
                       "decimal digits at the contract's scale; 66 % is 66", 2),
    "date": TypeRow("DATE", "date32[day][pyarrow]", "Date", "calendar_date", "date", "YYYY-MM-DD"),
    "timestamp": TypeRow("TIMESTAMP", "timestamp[us][pyarrow]", "POSIXct, UTC", "calendar_date", "datetime",
                         "YYYY-MM-DDThh:mm:ss.ffffff, no zone"),
    "boolean": TypeRow("BOOLEAN", "bool[pyarrow]", "logical", "checkbox", "text", "true or false"),
    "url": TypeRow("VARCHAR", "string[pyarrow]", "character", "url", "text", "the address, unchanged"),
    "point": TypeRow("VARCHAR", "string[pyarrow]", "character", "point", "geo_point_2d",
                     f"POINT (longitude latitude), {POINT_SCALE} decimals"),
    "file": TypeRow("VARCHAR", "string[pyarrow]", "character", "document", "file",
                    "data:<MIME type>;base64,<content>, the base64 padded"),
}  # fmt: skip

TRUE_WORDS = ("true", "t", "yes", "y", "1")
FALSE_WORDS = ("false", "f", "no", "n", "0")

_DATE_TOKENS = (
    ("YYYY", "%Y", "[0-9]{4}"), ("YY", "%y", "[0-9]{2}"), ("MMM", "%b", "[A-Za-z]{3}"),
    ("MM", "%m", "[0-9]{1,2}"), ("DD", "%d", "[0-9]{1,2}"), ("hh", "%H", "[0-9]{1,2}"),
    ("mm", "%M", "[0-9]{1,2}"), ("ss", "%S", "[0-9]{1,2}"), ("ffffff", "%f", "[0-9]{6}"),
    ("fff", "%g", "[0-9]{3}"), ("AM", "%p", "[AaPp][Mm]"),
)  # fmt: skip


def parquet_type(kind: Kind) -> str:
    """The DuckDB type that a column of this kind is stored as."""
    return TYPES[kind.type].parquet.format(scale=kind.scale)


def strptime_format(words: str) -> str:
    """
    The strptime format for a contract's date format, e.g. %m/%d/%Y for MM/DD/YYYY.

    Hours are 1 to 12 when the format has AM. Raises ValueError when no year is named, or a letter stands for
    nothing (T and Z stand for themselves).
    """
    parts = _format_parts(words)
    letters = "".join(part for part in parts if isinstance(part, str))
    if any(mark.isalpha() and mark not in "TZ" for mark in letters):
        raise ValueError(
            "a date format is made of YYYY YY MM MMM DD hh mm ss fff ffffff AM and the marks between"
        )
    made = "".join(part.replace("%", "%%") if isinstance(part, str) else part[1] for part in parts)
    if "%Y" not in made and "%y" not in made:
        raise ValueError("a date format names at least the year: YYYY")
    return made.replace("%H", "%I") if "%p" in made else made


def _format_parts(words: str) -> list[str | tuple[str, str, str]]:
    """The tokens of a date format, and the single characters between them."""
    parts: list[str | tuple[str, str, str]] = []
    while words:
        token = next((one for one in _DATE_TOKENS if words.startswith(one[0])), None)
        parts.append(token or words[0])
        words = words[len(token[0]) if token else 1 :]
    return parts


def _format_shape(words: str) -> str:
    """
    The regular expression of what a date format allows.

    DuckDB's %Y takes 20 for the year 20 and its %m one digit of a run: a year has four digits here, and
    numbers that nothing separates have all of theirs.
    """
    parts = _format_parts(words)
    run = any(_is_number(one) and _is_number(two) for one, two in pairwise(parts))
    shapes = (re.escape(part) if isinstance(part, str) else part[2] for part in parts)
    return "".join(one.replace("{1,2}", "{2}") if run else one for one in shapes)


def _is_number(part: str | tuple[str, str, str]) -> bool:
    return not isinstance(part, str) and part[2].startswith("[0-9]")


def quote_name(name: str) -> str:
    """`name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """`text` as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def text_array(texts: Iterable[str | None]) -> pa.Array:
    """
    `texts` as an Arrow array of strings.

    `pyarrow.array` imports pandas to ask whether it was given one of its series, which costs more than a table of
    some thousand rows. Raises TypeError for what is no text, ArrowCapacityError beyond 2 GB.
    """
    import pyarrow as pa

    builder = pa.lib.StringBuilder()
    builder.append_values(texts)
    return builder.finish()


def parse_sql(kind: Kind, expression: str) -> str:
    """SQL that turns the non-null VARCHAR `expression` into a value of `kind`, or NULL where it cannot."""
    quick = quick_sql(kind, expression)
    return parse_quickly_sql(kind, expression, quick) if quick else _PARSERS[kind.type](kind, expression)


def quick_sql(kind: Kind, x: str) -> str | None:
    """
    A cheap conversion of the VARCHAR `x`, which takes too much and is to be held against it; None for kinds without.

    For `parse_quickly_sql`, of which it is the better half where it stands in a column of its own.
    """
    if kind.type in ("date", "timestamp") and kind.format is not None:
        return f"try_strptime({x}, {quote_text(strptime_format(kind.format))})"
    if kind.type in ("integer", "number", "money", "percent", "date", "timestamp"):
        return f"TRY_CAST({x} AS {parquet_type(kind)})"
    return None


def parse_quickly_sql(kind: Kind, x: str, quick: str) -> str:
    """
    SQL that is `parse_sql` of `x`, given `quick`, the SQL or the column that holds `quick_sql` of it.

    A text that comes back as it was needs no closer look; DuckDB evaluates the rest of a CASE, which costs three
    to eight times as much, only for the others.
    """
    value, same = _same_sql(kind, x, quick)
    return f"CASE WHEN {same} THEN {value} ELSE {_PARSERS[kind.type](kind, x)} END"


def _same_sql(kind: Kind, x: str, quick: str) -> tuple[str, str]:
    """SQL for the value that `quick` gives, and for whether it is written as `x` is."""
    written = f"CAST({quick} AS VARCHAR)"
    if kind.type not in ("date", "timestamp"):
        return quick, f"{written} = {x}"
    if kind.format is not None:
        day = _day(quick, kind.format) if kind.type == "date" else quick
        return day, f"strftime({quick}, {quote_text(strptime_format(kind.format))}) = {x}"
    name = kind.type.upper()  # four digits of a year: neither 12020 nor infinity
    inside = f"{quick} >= {name} '0001-01-01' AND {quick} < {name} '10000-01-01'"
    with_t = f" OR replace({written}, ' ', 'T') = {x}" if kind.type == "timestamp" else ""
    return quick, f"{inside} AND ({written} = {x}{with_t})"


def canonical_sql(kind: Kind, expression: str) -> str:
    """SQL for the canonical text of a typed `expression`; NULL stays NULL."""
    x = expression
    if kind.type == "timestamp":
        full = f"strftime({x}, '%Y-%m-%dT%H:%M:%S.%f')"
        whole = f"replace(CAST({x} AS VARCHAR), ' ', 'T') || '.000000'"
        second = f"epoch_us({x}) % 1000000 = 0"  # of an infinity too, which the years leave out first
        return (
            f"CASE WHEN {_of_four_digits(kind, x)} THEN CASE WHEN {second} THEN {whole} ELSE {_padded(x)} END "
            f"ELSE {full} END"
        )
    if kind.type == "date":
        full = f"strftime({x}, '%Y-%m-%d')"
        return f"CASE WHEN {_of_four_digits(kind, x)} THEN CAST({x} AS VARCHAR) ELSE {full} END"
    return f"CAST({x} AS VARCHAR)"


def length_sql(kind: Kind, expression: str, text: str) -> str:
    """SQL for how many bytes of UTF-8 `text`, the canonical text of the typed `expression`, is, as decimal digits."""
    counted = f"CAST(strlen({text}) AS VARCHAR)"
    known = {"date": 10, "timestamp": 26}.get(kind.type)
    if known is None:
        return counted
    return f"CASE WHEN {_of_four_digits(kind, expression)} THEN '{known}' ELSE {counted} END"


def _of_four_digits(kind: Kind, x: str) -> str:
    """SQL for whether the year of `x` is one that a cast writes as strftime does, but in a fifth of the time."""
    name = kind.type.upper()
    return f"{x} >= {name} '0001-01-01' AND {x} < {name} '9999-12-31'"


def _padded(x: str) -> str:
    """A timestamp with T between date and time and six decimals, of which a cast leaves out zeros at the end."""
    text = f"replace(CAST({x} AS VARCHAR), ' ', 'T')"
    return f"rpad(concat({text}, CASE WHEN strlen({text}) = 19 THEN '.' END), 26, '0')"


def trimmed(expression: str) -> str:
    """SQL for `expression` without the blanks around it."""
    return f"trim({expression}, {quote_text(BLANKS)})"


def _text(kind: Kind, x: str) -> str:
    return x


def _code(kind: Kind, x: str) -> str:
    last = max(map(ord, BLANKS))  # trimming is slow: only where a blank could be at an end
    return f"CASE WHEN ascii({x}) > {last} AND ascii(right({x}, 1)) > {last} THEN {x} ELSE {trimmed(x)} END"


def _integer(kind: Kind, x: str) -> str:
    shape = r"^[+-]?([0-9]+|[0-9]{1,3}(,[0-9]{3})+)$"
    return f"CASE WHEN regexp_matches({trimmed(x)}, '{shape}') THEN TRY_CAST(replace({trimmed(x)}, ',', '') AS BIGINT) END"


def _decimal(x: str, scale: int) -> str:
    """`x` is cleaned text; more decimals than `scale` is a failure, because rounding would lose what was read."""
    shape = r"^[+-]?([0-9]+|[0-9]{1,3}(,[0-9]{3})+)?(\.[0-9]*)?$"
    too_fine = rf"\.[0-9]{{{scale}}}[0-9]*[1-9]"
    return (
        f"CASE WHEN regexp_matches({x}, '{shape}') AND regexp_matches({x}, '[0-9]')"
        f" AND NOT regexp_matches({x}, '{too_fine}')"
        f" THEN TRY_CAST(replace({x}, ',', '') AS DECIMAL({NUMBER_DIGITS},{scale})) END"
    )


def _number(kind: Kind, x: str) -> str:
    scientific = r"^[+-]?[0-9]+(\.[0-9]+)?[eE][+-]?[0-9]+$"
    text = trimmed(x)
    return (
        f"CASE WHEN regexp_matches({text}, '{scientific}') THEN {_scientific(text, kind.scale)}"
        f" ELSE {_decimal(text, kind.scale)} END"
    )


def _scientific(text: str, scale: int) -> str:
    """Exact or nothing: a cast to a decimal rounds, so the value must be the same with 20 decimals."""
    made, fine = (f"TRY_CAST({text} AS DECIMAL({kind}))" for kind in (f"{NUMBER_DIGITS},{scale}", "38,20"))
    lost = f"{made} = 0 AND regexp_matches({text}, '^[+-]?[0.]*[1-9]')"
    return f"CASE WHEN {made} = {fine} AND NOT ({lost}) THEN {made} END"


def _money(kind: Kind, x: str) -> str:
    bare = rf"regexp_replace(regexp_replace({trimmed(x)}, '^\((.*)\)$', '-\1'), '^([+-]?)\s*\$\s*([+-]?)', '\1\2')"
    return _decimal(bare, kind.scale)


def _percent(kind: Kind, x: str) -> str:
    return _decimal(rf"regexp_replace({trimmed(x)}, '\s*%$', '')", kind.scale)


def _date(kind: Kind, x: str) -> str:
    if kind.format is None:
        # a day at midnight is how Socrata and pandas write days
        shape = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]00:00(:00(\.0{1,9})?)?)?$"
        day = f"substr({trimmed(x)}, 1, 10)"
        return f"CASE WHEN regexp_matches({trimmed(x)}, '{shape}') THEN TRY_CAST({day} AS DATE) END"
    return _day(_strptime(kind.format, x), kind.format)


def _day(moment: str, words: str) -> str:
    """SQL for the day of `moment`; where its format has a time of day, only of midnight: another would be lost."""
    day = f"CAST({moment} AS DATE)"
    timed = any(token in words for token in ("hh", "mm", "ss", "fff"))
    return f"CASE WHEN {day} = {moment} THEN {day} END" if timed else day


def _timestamp(kind: Kind, x: str) -> str:
    if kind.format is None:
        shape = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?$"
        return (
            f"CASE WHEN regexp_matches({trimmed(x)}, '{shape}') THEN TRY_CAST({trimmed(x)} AS TIMESTAMP) END"
        )
    return _strptime(kind.format, x)


def _strptime(words: str, x: str) -> str:
    shape, text = quote_text(_format_shape(words)), trimmed(x)
    return (
        f"CASE WHEN regexp_full_match({text}, {shape})"
        f" THEN try_strptime({text}, {quote_text(strptime_format(words))}) END"
    )


def _boolean(kind: Kind, x: str) -> str:
    true, false = (", ".join(f"'{word}'" for word in words) for words in (TRUE_WORDS, FALSE_WORDS))
    return f"CASE WHEN lower({trimmed(x)}) IN ({true}) THEN true WHEN lower({trimmed(x)}) IN ({false}) THEN false END"


def _url(kind: Kind, x: str) -> str:
    return rf"CASE WHEN regexp_matches({trimmed(x)}, '^https?://[^\s]+$') THEN {trimmed(x)} END"


def _point(kind: Kind, x: str) -> str:
    degree = r"(-?[0-9]{1,3}(?:\.[0-9]+)?)"
    pair = rf"\(\s*{degree}\s*,\s*{degree}\s*\)\s*$"
    wkt = rf"^POINT\s*\(\s*{degree}\s+{degree}\s*\)$"
    lat, lon = f"regexp_extract({x}, '{pair}', 1)", f"regexp_extract({x}, '{pair}', 2)"
    east, north = f"regexp_extract({trimmed(x)}, '{wkt}', 1)", f"regexp_extract({trimmed(x)}, '{wkt}', 2)"
    return (
        f"CASE WHEN regexp_matches({x}, '{pair}') THEN {_point_text(lon, lat)}"
        f" WHEN regexp_matches({trimmed(x)}, '{wkt}') THEN {_point_text(east, north)} END"
    )


def _point_text(lon: str, lat: str) -> str:
    x, y = (f"CAST(CAST({part} AS DOUBLE) AS DECIMAL(12,{POINT_SCALE}))" for part in (lon, lat))
    return f"CASE WHEN abs({x}) <= 180 AND abs({y}) <= 90 THEN 'POINT (' || {x} || ' ' || {y} || ')' END"


def _file(kind: Kind, x: str) -> str:
    """A data address (RFC 2397) whose base64 is written in the one way that its bytes have."""
    text = trimmed(x)
    content = f"split_part({text}, ';base64,', 2)"
    shape = r"^data:[a-z0-9.+-]+/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]+=?=?$"
    return (
        f"CASE WHEN regexp_matches({text}, '{shape}')"
        f" AND TRY(to_base64(from_base64({content}))) = {content} THEN {text} END"
    )


_PARSERS = {
    "text": _text, "code": _code, "integer": _integer, "number": _number, "money": _money,
    "percent": _percent, "date": _date, "timestamp": _timestamp, "boolean": _boolean, "url": _url,
    "point": _point, "file": _file,
}  # fmt: skip


def shape(text: str) -> str:
    """
    The masked shape of `text`: digits become 9, letters a or A, other marks stay, runs over 3 are shortened.

    The only form in which text that may be a cell appears in a message.
    """
    masked = re.sub(r"[a-zà-ÿ]", "a", re.sub(r"[A-ZÀ-Þ]", "A", re.sub(r"\d", "9", text)))
    masked = "".join(mark if mark.isascii() else "?" for mark in masked)
    return re.sub(r"(.)\1{3,}", r"\1\1\1…", masked)[:24]
