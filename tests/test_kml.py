"""KML: each Placemark a record, read without opening anything else and without expanding anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from ctnb.errors import SourceInvalid
from ctnb.sources import kml
from ctnb.sources.formats import open_source
from ctnb.sources.opened import Asked, Loaded

CANARY = "Xanthippe Quill"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<kml xmlns="http://www.opengis.net/kml/2.2"><Document><name>D</name>'
TAIL = "</Document></kml>"
HYDRANTS = """
<Folder><name>Hydrants</name><Folder><name>North</name>
  <Placemark id="1"><name>H 1</name><description><![CDATA[<b>red</b>]]></description><styleUrl>#s</styleUrl>
    <ExtendedData><Data name="zip"><displayName>ZIP</displayName><value>06103</value></Data>
      <SchemaData schemaUrl="#x"><SimpleData name="flow">1200</SimpleData></SchemaData></ExtendedData>
    <Point><coordinates> -72.6851,41.7637,0 </coordinates></Point></Placemark>
</Folder></Folder>
<Placemark><name>Line</name><TimeStamp><when>2020-01-02</when></TimeStamp>
  <LineString><coordinates>-72,41 -73,42</coordinates></LineString></Placemark>
<Placemark><name>Both</name><MultiGeometry><Point><coordinates>1,2</coordinates></Point></MultiGeometry></Placemark>
<NetworkLink><name>More</name><Link><href>http://127.0.0.1:9/more.kml</href></Link></NetworkLink>
<GroundOverlay><name>Picture</name></GroundOverlay>
"""


def loaded(
    folder: Path, text: str | bytes, **asked: Any
) -> tuple[tuple[str, ...], list[tuple[Any, ...]], Loaded]:
    """Header, rows with their numbers, and what became of them."""
    path = folder / "a.kml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    opened = open_source(path, path.name, Asked(**asked))
    with duckdb.connect() as connection:
        found = opened.load(connection, path.parent)
        return opened.header, connection.execute("SELECT * FROM numbered ORDER BY _row").fetchall(), found


def test_placemarks_are_records(tmp_path: Path) -> None:
    """Folders, extended data of both kinds and points are columns; what is left out is counted in notes."""
    header, rows, found = loaded(tmp_path, HEAD + HYDRANTS + TAIL)
    assert ("folder", "name", "description", "zip", "flow", "geometry", "when") == header
    assert rows == [
        (1, "Hydrants / North", "H 1", "<b>red</b>", "06103", "1200", "POINT (-72.6851 41.7637)", None),
        (2, None, "Line", None, None, None, None, "2020-01-02"),
        (3, None, "Both", None, None, None, None, None),
    ]
    assert found.notes == (
        "Geometry that is no point was left out: 1 collection, 1 line.",
        "Left out: links to other files, 1.",
        "Left out: overlays, 1.",
    )


def test_a_column_may_be_called_as_a_part_of_the_placemark(tmp_path: Path) -> None:
    """Two headers are then alike, and neither is lost."""
    text = "<Placemark><name>A</name><ExtendedData><Data name='name'><value>B</value></Data></ExtendedData></Placemark>"
    header, rows, _ = loaded(tmp_path, HEAD + text + TAIL)
    assert (("name", "name"), [(1, "A", "B")]) == (header, rows)


def test_a_prefix_before_every_element_changes_nothing(tmp_path: Path) -> None:
    """Names are those of KML whatever the document calls its namespace."""
    text = '<k:kml xmlns:k="http://www.opengis.net/kml/2.2"><k:Placemark><k:name>A</k:name></k:Placemark></k:kml>'
    assert (("name",), [(1, "A")]) == loaded(tmp_path, text)[:2]
    other = '<?xml version="1.0" encoding="ISO-8859-1"?>' + text.replace("A<", "é<")
    assert [(1, "é")] == loaded(tmp_path, other.encode("latin-1"))[1]


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
ENTITIES = {
    "billion laughs": f'<!DOCTYPE kml [<!ENTITY l0 "ha">{LAUGHS}]>',
    "external entity": '<!DOCTYPE kml [<!ENTITY l11 SYSTEM "file:///etc/passwd">]>',
    "parameter entity": '<!DOCTYPE kml [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x">%p;<!ENTITY l11 "x">]>',
    "external subset": '<!DOCTYPE kml SYSTEM "http://127.0.0.1:9/x.dtd">',
}


@pytest.mark.parametrize("doctype", ENTITIES.values(), ids=ENTITIES)
def test_a_document_type_is_refused_before_anything_is_expanded(tmp_path: Path, doctype: str) -> None:
    """Neither memory nor other files are reached through entities."""
    text = f"{doctype}<kml><Placemark><name>&l11;</name></Placemark></kml>"
    with pytest.raises(SourceInvalid, match="it has a document type") as told:
        loaded(tmp_path, text)
    assert told.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"name\n{CANARY}\n", "no well-formed XML"),
        (f"<html><body>{CANARY}</body></html>", "its outermost element is another"),
        (HEAD + f"<Placemark><name>{CANARY}", "no well-formed XML"),
        (HEAD + TAIL, "holds no placemarks"),
        (HEAD + "<Placemark/>" + TAIL, "1 in number, have nothing to read"),
        (HEAD + "<Placemark><Placemark/></Placemark>" + TAIL, "stands inside another"),
        (HEAD + "<a>" * 200 + "</a>" * 200 + TAIL, "nested deeper than 100"),
        ("", "no well-formed XML"),
    ],
)
def test_what_is_no_kml_is_told_without_a_cell(tmp_path: Path, text: str, what: str) -> None:
    """The message names what is wrong and the line."""
    with pytest.raises(SourceInvalid, match=what) as told:
        loaded(tmp_path, text)
    assert CANARY not in str(told.value)
    assert told.value.__context__ is None


def test_a_record_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that never ends takes no more memory than a record may."""
    monkeypatch.setattr(kml, "TEXT_LIMIT", 1000)
    with pytest.raises(SourceInvalid, match="one of its records is larger"):
        loaded(tmp_path, HEAD + f"<Placemark><name>{'x' * 2000}</name></Placemark>" + TAIL)
    many = "".join(f"<Placemark><name>{'x' * 500}</name></Placemark>" for _ in range(20))
    assert 20 == len(loaded(tmp_path, HEAD + many + TAIL)[1])


def test_a_layer_is_no_word_of_kml(tmp_path: Path) -> None:
    """A key that means nothing here is an error, not ignored."""
    with pytest.raises(SourceInvalid, match="KML has none"):
        loaded(tmp_path, HEAD + HYDRANTS + TAIL, layer=1)
