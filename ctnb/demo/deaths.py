"""
A synthetic file with the columns and habits of Connecticut's accidental drug related deaths, 2012 to 2022.

Every cell is invented: drawn by a seeded generator from the lists in `places` and `words`. The same seed gives
the same bytes on every machine, because only `random.random`, whose sequence Python guarantees, is used.

    python -m ctnb.demo.deaths notebooks/overdose-deaths/data/accidental-drug-related-deaths.csv
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from ctnb.demo import words
from ctnb.demo.places import CENTRE, ELSEWHERE, PLACES, Place
from ctnb.documents import write_bytes

Drawn = TypeVar("Drawn")

SEED = 20220229
ROWS = 2000

HEADERS = (
    "Date", "Date Type", "Age", "Sex", "Race", "Ethnicity", "Residence City", "Residence County",
    "Residence State", "Injury City", "Injury County", "Injury State", "Injury Place", "Description of Injury",
    "Death City", "Death County", "Death State", "Location", "Location if Other", "Cause of Death",
    "Manner of Death", "Other Significant Conditions ", "Heroin", "Heroin death certificate (DC)", "Cocaine",
    "Fentanyl", "Fentanyl Analogue", "Oxycodone", "Oxymorphone", "Ethanol", "Hydrocodone", "Benzodiazepine",
    "Methadone", "Meth/Amphetamine", "Amphet", "Tramad", "Hydromorphone", "Morphine (Not Heroin)", "Xylazine",
    "Gabapentin", "Opiate NOS", "Heroin/Morph/Codeine", "Other Opioid", "Any Opioid", "Other",
    "ResidenceCityGeo", "InjuryCityGeo", "DeathCityGeo",
)  # fmt: skip

_OPIOIDS = (
    "Heroin", "Heroin death certificate (DC)", "Fentanyl", "Fentanyl Analogue", "Oxycodone", "Oxymorphone",
    "Hydrocodone", "Methadone", "Tramad", "Hydromorphone", "Morphine (Not Heroin)", "Opiate NOS",
    "Heroin/Morph/Codeine", "Other Opioid",
)  # fmt: skip


def content(rows: int = ROWS, seed: int = SEED) -> bytes:
    """The file as bytes: UTF-8, LF, newest death first."""
    draw = _Draw(random.Random(seed))  # noqa: S311  # invented data, not a secret
    people = sorted((_person(draw) for _ in range(rows)), key=lambda person: person[0], reverse=True)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, HEADERS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(cells for _, cells in people)
    return stream.getvalue().encode("utf-8")


def write(path: Path, rows: int = ROWS, seed: int = SEED) -> None:
    """Write the file to `path`, whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content(rows, seed))


class _Draw:
    """Draws from one generator, by `random.random` alone."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def chance(self, share: float) -> bool:
        """True with probability `share`."""
        return self._source.random() < share

    def whole(self, below: int) -> int:
        """A whole number from 0 to `below` - 1."""
        return int(self._source.random() * below)

    def one(self, things: Sequence[Drawn]) -> Drawn:
        """One of `things`, all alike."""
        return things[self.whole(len(things))]

    def weighted(self, pairs: Sequence[tuple[Drawn, int]]) -> Drawn:
        """One of the things of `pairs`, by weight."""
        left = self.whole(sum(weight for _, weight in pairs))
        for thing, weight in pairs:
            left -= weight
            if left < 0:
                return thing
        raise AssertionError("weights add up to what was drawn from")


def _person(draw: _Draw) -> tuple[dt.date, dict[str, str]]:
    """A person who never lived: the date, and a cell for each header that is not blank."""
    share = max(draw.whole(1000), draw.whole(1000)) / 1000  # later years have more deaths
    day = dt.date(2012, 1, 1) + dt.timedelta(days=int(share * 4018))
    cells = {
        "Date": day.strftime("%m/%d/%Y"),
        "Date Type": "Date reported" if draw.chance(0.17) else "Date of death",
        "Age": "" if draw.chance(0.002) else str(18 + draw.whole(24) + draw.whole(24) + draw.whole(24)),
        "Sex": draw.weighted((("Male", 740), ("Female", 257), ("", 3))),
        "Race": draw.weighted(words.RACES),
        "Ethnicity": draw.weighted(words.ETHNICITIES),
        "Manner of Death": draw.weighted(words.MANNERS),
        "Other Significant Conditions ": draw.weighted(words.CONDITIONS),
    }
    cells |= _where(draw, day.year)
    cells |= _substances(draw, (day.year - 2012) / 10)
    cells["Cause of Death"] = _cause(draw, cells)
    return day, cells


def _where(draw: _Draw, year: int) -> dict[str, str]:
    towns = [
        (place, place.weight**2) for place in PLACES
    ]  # most live in the cities: counts there are not small
    home = draw.weighted(towns)
    injury = home if draw.chance(0.7) else draw.weighted(towns)
    death = injury if draw.chance(0.8) else draw.weighted(towns)
    made = _lived(draw, home) | _injured(draw, injury) | _died(draw, death, known=year < 2021)
    made["Injury Place"] = draw.weighted(words.INJURY_PLACES)
    made["Description of Injury"] = draw.weighted(words.DESCRIPTIONS)
    made["Location"] = draw.weighted(words.LOCATIONS)
    if made["Location"].startswith("Other"):
        made["Location if Other"] = draw.weighted(words.OTHER_LOCATIONS)
    return made


def _lived(draw: _Draw, place: Place) -> dict[str, str]:
    if draw.chance(0.04):
        town, county, state = draw.one(ELSEWHERE)
        return {"Residence City": town.upper(), "Residence County": county.upper(), "Residence State": state}
    return {
        "Residence City": "" if draw.chance(0.05) else place.name.upper(),
        "Residence County": "" if draw.chance(0.11) else place.county.upper(),
        "Residence State": "" if draw.chance(0.18) else "CT",
        "ResidenceCityGeo": _geo(draw, place, upper=True),
    }


def _injured(draw: _Draw, place: Place) -> dict[str, str]:
    if draw.chance(0.04):
        return {"Injury City": draw.one(("", "UNKNOWN", "UK"))}
    return {
        "Injury City": place.name.upper(),
        "Injury County": "" if draw.chance(0.31) else place.county.upper(),
        "Injury State": "" if draw.chance(0.27) else "CT",
        "InjuryCityGeo": _geo(draw, place, upper=True),
    }


def _died(draw: _Draw, place: Place, known: bool) -> dict[str, str]:
    if not known:
        return {"DeathCityGeo": f"CT\n({CENTRE[0]:.6f}, {CENTRE[1]:.6f})"}
    return {
        "Death City": place.name.upper(),
        "Death County": "" if draw.chance(0.12) else place.county.upper(),
        "Death State": "" if draw.chance(0.25) else "CT",
        "DeathCityGeo": _geo(draw, place, upper=False),
    }


def _geo(draw: _Draw, place: Place, *, upper: bool) -> str:
    """A town with its point on a second line, as the portal exported it."""
    if draw.chance(0.02):
        return ""
    name = place.name.upper() if upper else place.name
    return f"{name}, CT\n({place.latitude:.6f}, {place.longitude:.6f})"


def _substances(draw: _Draw, later: float) -> dict[str, str]:
    """The flags: Y or blank, with the oddities of real forms; `later` goes from 0 in 2012 to 1 in 2022."""
    made: dict[str, str] = {}
    for header, early, late, _ in words.DRUGS:
        if draw.chance(early + (late - early) * later):
            odd = draw.one(words.ODD_FLAGS.get(header, ("Y",)))
            made[header] = odd if draw.chance(0.01) else "Y"
    if "Heroin" in made and draw.chance(0.2):
        made["Heroin death certificate (DC)"] = "Y"
    if draw.chance(0.2 * (1 - later)):
        made["Heroin/Morph/Codeine"] = "y" if draw.chance(0.02) else "Y"
    if draw.chance(0.01):
        made["Morphine (Not Heroin)"] = "Y"
    if draw.chance(0.012):
        made["Opiate NOS"] = "Y"
    if draw.chance(0.012):
        made["Other Opioid"] = "Buprenorphine" if draw.chance(0.25) else "Y"
    if draw.chance(0.065):
        made["Other"] = draw.weighted(words.OTHER_SUBSTANCES)
    if any(header in made for header in _OPIOIDS):
        made["Any Opioid"] = "Y"
    return made


def _cause(draw: _Draw, cells: dict[str, str]) -> str:
    """Free text, as an examiner would dictate it from the substances found."""
    found = [name for header, _, _, name in words.DRUGS if header in cells]
    if not found:
        return draw.one(("Multiple Drug Toxicity", "Acute Drug Intoxication", "Mixed Drug Intoxication"))
    if len(found) == 1:
        ending = "Toxicity" if draw.chance(0.2) else "Intoxication"
        return f"Acute {found[0]} {ending}"
    listed = f"{', '.join(found[:-1])} and {found[-1]}"
    text = f"Acute Intoxication due to the Combined Effects of {listed}"
    return text.lower().capitalize() if draw.chance(0.4) else text


if __name__ == "__main__":
    write(Path(sys.argv[1]))
