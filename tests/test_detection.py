"""Direct identifiers by header and content, with look-alikes that must stay clean. All data are synthetic."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from review_tables import column, found, hits, made, reviewed

from ctnb.privacy.detection import by_chance, found_in
from ctnb.privacy.headers import header_kinds, tokens
from ctnb.privacy.names import ALSO_OTHER_THINGS, GIVEN, SURNAMES

TOWNS = ["Hartford", "New Haven", "Bridgeport", "Waterbury", "Rocky Hill", "Madison", "Clinton", "Vernon"]
CAUSES = [
    "Acute Fentanyl Intoxication",
    "Multiple Drug Toxicity",
    "Recent cocaine use",
    "Heroin Intoxication",
]


def an_ssn(dice: random.Random, area: int | None = None) -> str:
    """Nine digits that the Social Security Administration could have given."""
    drawn = area or dice.choice([n for n in range(1, 900) if n != 666])
    return f"{drawn:03}{dice.randint(1, 99):02}{dice.randint(1, 9999):04}"


@pytest.mark.parametrize(
    ("header", "kinds"),
    [
        ("SSN", ("ssn",)), ("PatientSSN", ("ssn",)), ("emp_ssn2", ("ssn",)), ("Social Security No.", ("ssn",)),
        ("SS Number", ("ssn",)), ("first_name", ("name",)), ("LastName", ("name",)), ("Maiden Name", ("name",)),
        ("DOB", ("birth",)), ("BirthDate", ("birth",)), ("date_of_birth", ("birth",)), ("Home Phone", ("phone",)),
        ("E-mail", ("email",)), ("EmailAddress", ("email",)), ("Street Address", ("address",)),
        ("DriverLicenseNumber", ("licence",)), ("Medical Record", ("record",)), ("patient_id", ("record",)),
        ("AcctNo", ("account",)),
    ],
)  # fmt: skip
def test_a_header_that_names_an_identifier_is_recognised(header: str, kinds: tuple[str, ...]) -> None:
    """Camel case, snake case, blanks and digits all divide words."""
    assert header_kinds(header) == kinds


@pytest.mark.parametrize(
    "header",
    ["BusinessName", "businessname", "BusinessSSNAme", "business_name", "Classname", "FileName", "License Type",
     "Web Address", "Assessment", "Emailed", "SS", "Phoneme", "Town", "Heroin/Morph/Codeine", "Any Opioid"],
)  # fmt: skip
def test_a_header_that_only_looks_like_one_is_not(header: str) -> None:
    """Parts of words are no words."""
    assert header_kinds(header) == ()


def test_a_header_is_divided_at_marks_digits_and_changes_of_case() -> None:
    """The pieces are lower case."""
    assert tokens("PatientSSN_2 homePhone") == ("patient", "ssn", "2", "home", "phone")


def test_a_header_in_the_source_counts_although_the_name_is_harmless(tmp_path: Path) -> None:
    """Renaming a column does not hide it, and neither header nor label stands in the text."""
    table = made(tmp_path, [column("c7", header="Emp SSN", label="<b>Emp</b>")], {"c7": ["x"]})
    (finding,) = found(reviewed(table), "ssn-header")
    assert finding.text == "The name or header of c7 says a Social Security number; its role is plain."


def test_one_dashed_number_in_a_long_text_is_found(tmp_path: Path) -> None:
    """One cell among a thousand, inside a sentence, is enough."""
    values = ["Substance use"] * 999 + ["caller gave 123-45-6789 as reference"]
    table = made(tmp_path, [column("note")], {"note": values})
    (finding,) = found(reviewed(table), "ssn-content")
    assert (finding.severity, finding.count, finding.of) == ("block", 1, 1000)


@pytest.mark.parametrize(
    "text", ["123 45 6789", "123.45.6789", "123-45-6789-01", "A123-45-6789", "ssn: 123456789"]
)
def test_other_ways_of_writing_it_are_found(tmp_path: Path, text: str) -> None:
    """Blanks, points, suffixes, or its name in front."""
    assert hits(tmp_path, ["none"] * 99 + [text]) == {"ssn-content"}


def test_plain_numbers_inside_sentences_are_found(tmp_path: Path) -> None:
    """Judged by the column, like numbers that stand alone."""
    dice = random.Random(12)
    assert hits(tmp_path, [f"client {an_ssn(dice)} called" for _ in range(100)]) == {"ssn-content"}


def test_long_fractions_and_coordinates_are_not_numbers_of_people(tmp_path: Path) -> None:
    """Digits behind a point."""
    dice = random.Random(13)
    values = [f"(41.{an_ssn(dice)}, -72.{an_ssn(dice)})" for _ in range(100)]
    assert hits(tmp_path, values) == set()


def test_a_finding_never_quotes_what_it_found(tmp_path: Path) -> None:
    """No planted value is anywhere in the review's JSON."""
    planted = ["123-45-6789", "jane.roe@example.org", "(860) 555-0142", "Roberta Martinez"]
    text = str(reviewed(made(tmp_path, [column("note")], {"note": planted})).to_json())
    assert [value for value in planted if value in text] == []


@pytest.mark.parametrize("text", ["000-12-3456", "666-12-3456", "123-00-4567", "203-555-0142", "12-345-6789"])
def test_numbers_that_were_never_given_are_not_social_security_numbers(tmp_path: Path, text: str) -> None:
    """Areas 000 and 666, group 00, and other dashes."""
    assert "ssn-content" not in hits(tmp_path, [text] * 50)


def test_plain_numbers_are_found_by_the_share_of_valid_ones(tmp_path: Path) -> None:
    """Three hundred valid numbers without dashes are no chance."""
    dice = random.Random(1)
    assert hits(tmp_path, [an_ssn(dice) for _ in range(300)], type="code") == {"ssn-content"}


def test_random_nine_digit_numbers_are_not(tmp_path: Path) -> None:
    """Nine in ten of them are valid by chance."""
    dice = random.Random(2)
    assert hits(tmp_path, [f"{dice.randrange(10**9):09}" for _ in range(300)]) == set()


def test_running_case_numbers_are_not(tmp_path: Path) -> None:
    """Every one is a valid number, but they begin alike."""
    assert hits(tmp_path, [f"{202100000 + n}" for n in range(1, 500)]) == set()


@pytest.mark.parametrize("area", [None, 43])
def test_numbers_with_a_suffix_are_found(tmp_path: Path, area: int | None) -> None:
    """As the State published them in 2007: no hyphens, and more digits attached."""
    dice = random.Random(3)
    values = [an_ssn(dice, area) + f"{dice.randrange(100):02}" for _ in range(300)]
    (finding,) = found(
        reviewed(made(tmp_path, [column("vendor", "code")], {"vendor": values})), "ssn-content"
    )
    assert (finding.severity, finding.facts["offset"]) == ("block", 0)


def test_numbers_behind_a_prefix_are_found(tmp_path: Path) -> None:
    """A fixed number of digits before them does not hide them."""
    dice = random.Random(4)
    values = ["77" + an_ssn(dice) for _ in range(300)]
    (finding,) = found(
        reviewed(made(tmp_path, [column("vendor", "code")], {"vendor": values})), "ssn-content"
    )
    assert finding.facts["offset"] == 2


def test_whole_numbers_that_lost_their_leading_zero_are_found(tmp_path: Path) -> None:
    """Connecticut's numbers begin with 04; as numbers they have eight digits."""
    dice = random.Random(5)
    values = [int(an_ssn(dice, dice.randint(40, 49))) for _ in range(300)]
    assert hits(tmp_path, values, type="integer") == {"ssn-content"}


def test_a_few_valid_numbers_wait(tmp_path: Path) -> None:
    """Twelve numbers cannot be told from chance: a person looks."""
    dice = random.Random(6)
    assert hits(tmp_path, [an_ssn(dice) for _ in range(12)]) == {"ssn-possible"}


def test_amounts_are_not_social_security_numbers(tmp_path: Path) -> None:
    """A measure that often has eight or nine digits."""
    dice = random.Random(7)
    values = [int(dice.lognormvariate(16, 1.5)) for _ in range(300)]
    assert hits(tmp_path, values, type="integer", role="measure") == set()


def test_an_address_in_a_text_blocks(tmp_path: Path) -> None:
    """One e-mail address is enough."""
    assert hits(tmp_path, ["none"] * 99 + ["ask j.roe@example.org"]) == {"email-content"}


@pytest.mark.parametrize(
    "text", ["(860) 555-0142", "call 203-555-0142 now", "1-800-555-0142", "475.555.0142"]
)
def test_a_telephone_number_waits(tmp_path: Path, text: str) -> None:
    """As people write them."""
    assert hits(tmp_path, ["none"] * 99 + [text]) == {"phone-content"}


def test_ten_plain_digits_are_telephone_numbers_when_all_could_be_dialled(tmp_path: Path) -> None:
    """Judged by the column; their beginnings are not Social Security numbers."""
    dice = random.Random(8)
    values = [
        f"{dice.choice((203, 860))}{dice.randint(200, 999)}{dice.randrange(10**4):04}" for _ in range(200)
    ]
    values = [value for value in values if value[4:6] != "11"]
    assert hits(tmp_path, values) == {"phone-content"}


def test_random_ten_digit_numbers_are_not(tmp_path: Path) -> None:
    """Seven in ten could be dialled by chance."""
    dice = random.Random(9)
    assert hits(tmp_path, [f"{dice.randrange(10**9, 10**10)}" for _ in range(300)]) == set()


@pytest.mark.parametrize("form", ["{g} {s}", "{S}, {G}", "{g} Q. {s}", "{G} {S} JR"])
def test_a_column_of_whole_names_waits(tmp_path: Path, form: str) -> None:
    """First or last name first, in capitals or not."""
    dice = random.Random(10)
    pairs = [(dice.choice(sorted(GIVEN)), dice.choice(sorted(SURNAMES))) for _ in range(60)]
    values = [form.format(g=g.title(), s=s.title(), G=g.upper(), S=s.upper()) for g, s in pairs]
    assert hits(tmp_path, values) == {"name-content"}


@pytest.mark.parametrize("names", [GIVEN, SURNAMES])
def test_a_column_of_one_word_names_waits(tmp_path: Path, names: frozenset[str]) -> None:
    """Given names or surnames alone, half of them in no list."""
    dice = random.Random(11)
    known = dice.sample(sorted(names - ALSO_OTHER_THINGS), 60)
    assert hits(tmp_path, [*known, *(word[::-1] for word in known[:50])]) == {"name-content"}


def test_a_name_inside_free_text_is_counted(tmp_path: Path) -> None:
    """Two cells of a hundred."""
    values = ["Substance use at home"] * 98 + ["Found by Roberta Martinez at home", "per DAVID NGUYEN"]
    table = made(tmp_path, [column("note", role="free_text")], {"note": values})
    (finding,) = found(reviewed(table), "name-content")
    assert (finding.count, finding.of) == (2, 100)


@pytest.mark.parametrize(
    "values",
    [TOWNS, CAUSES, ["White", "Black", "Asian, Other"], ["Madison Avenue", "Lincoln St", "Howard Johnson Motel"],
     ["Fisher & Sons", "Walker Brothers LLC", "Mitchell School"], ["06103", "06511"], ["Xylazine", "PCP", "Bupren"]],
)  # fmt: skip
def test_towns_causes_races_streets_and_businesses_are_not_people(tmp_path: Path, values: list[str]) -> None:
    """Names that are other things too say nothing by themselves."""
    assert hits(tmp_path, values * 20) == set()


def test_chance_is_exact_where_everything_hits() -> None:
    """The bound is the chance to the power of the number."""
    assert by_chance(20, 20, 0.889) == pytest.approx(0.889**20)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("see 123-45-6789", ("a Social Security number",)),
        ("see 123456789", ("a Social Security number",)),
        ("ask j.roe@example.org", ("an e-mail address",)),
        ("call (860) 555-0142", ("a telephone number",)),
        ("Counts of 5 or fewer are suppressed; 10,654 rows in 2012-2022.", ()),
    ],
)
def test_text_that_people_write_is_scanned(text: str, kinds: tuple[str, ...]) -> None:
    """What the ledger must not keep."""
    assert found_in(text) == kinds
