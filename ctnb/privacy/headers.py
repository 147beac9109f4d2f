"""
Direct identifiers by header, token by token: "BusinessName" contains "ssn", and is none.

The names of columns come from the contract; headers and labels are compared and never quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ctnb.contracts.columns import Column
from ctnb.privacy.findings import Answer, Case

_TOKEN = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")

_NUMBER = ("no", "nr", "num", "number", "nbr", "id", "identifier")
_PEOPLE = (
    "patient", "person", "client", "member", "employee", "student", "decedent", "deceased", "inmate", "offender",
    "applicant", "victim", "witness", "parent", "mother", "father", "spouse", "guardian", "claimant", "tenant",
    "owner", "buyer", "seller", "donor", "voter", "taxpayer", "beneficiary", "contact", "user", "child",
    "physician", "provider", "nurse", "officer", "licensee", "insured", "subscriber", "next of kin",
)  # fmt: skip


def _phrases() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each kind of identifier with the runs of tokens that name it."""
    spoken = {
        "ssn": ["ssn", "ssns", "ssan", "social security", "soc sec", "socsec", "socialsecurity", "ss",
                "socialsecuritynumber", "itin", "taxpayer id"],
        "name": [f"{part} {word}" for part in ("first", "last", "middle", "maiden", "given", "family", "full", "sur",
                                               "f", "l", "legal") for word in ("name", "nm", "names")]
        + ["firstname", "lastname", "middlename", "maidenname", "fullname", "surname", "fname", "lname", "mname",
           "forename", "maiden", "given", "alias", "username"]
        + [f"{who} {word}" for who in _PEOPLE for word in ("name", "nm")],
        "birth": ["dob", "birth date", "birthdate", "birthday", "date of birth", "dateofbirth", "birth dt",
                  "birth day", "born"],
        "phone": ["phone", "phones", "telephone", "tel", "phonenumber", "phoneno", "mobile", "cellphone", "fax"],
        "email": ["email", "emails", "e mail", "emailaddress", "email address"],
        "address": ["address", "addr", "street address", "streetaddress", "homeaddress",
                    "residence street"],
        "licence": ["driver", "drivers", "driverlicense", "driverslicense", "dln", "passport"]
        + [f"{word} {number}" for word in ("license", "licence", "lic") for number in (*_NUMBER, "plate")],
        "record": ["mrn", "medical record", "medicalrecord", "chart number", "medicaid", "medicare", "hicn", "mbi"]
        + [f"{who} {number}" for who in _PEOPLE for number in _NUMBER],
        "account": ["iban", "routing number", "credit card", "card number", "bank account"]
        + [f"{word} {number}" for word in ("account", "acct") for number in _NUMBER],
        "vehicle or device": ["vin", "plate number", "plate no", "ip address", "mac address", "imei"],
    }  # fmt: skip
    for kind, phrases in spoken.items():
        for phrase in phrases:
            yield kind, tuple(phrase.split())


_PHRASES = tuple(_phrases())
_NEED_A_NUMBER = {("ss",)}
"""Tokens that mean an identifier only before a word for number."""


def tokens(text: str) -> tuple[str, ...]:
    """The words of a header, lower case: split at marks, digits and changes of case."""
    found = [token.lower() for token in _TOKEN.findall(text)]
    joined: list[str] = []
    for word in found:
        if word == "ame" and joined and joined[-1] == "ssn":
            # BusinessSSNAme: a name that lost its case, not a number
            joined[-1], word = "ss", "name"
        joined.append(word)
    return tuple(joined)


def header_kinds(text: str) -> tuple[str, ...]:
    """The kinds of direct identifier that a header names, e.g. ("ssn",)."""
    words = tokens(text)
    kinds = [kind for kind, phrase in _PHRASES if _says(words, phrase)]
    if "vehicle or device" in kinds or "email" in kinds or _about_the_web(words):
        kinds = [kind for kind in kinds if kind != "address"]
    return tuple(dict.fromkeys(kinds))


def _says(words: tuple[str, ...], phrase: tuple[str, ...]) -> bool:
    size = len(phrase)
    places = [at for at in range(len(words) - size + 1) if words[at : at + size] == phrase]
    if phrase in _NEED_A_NUMBER:
        return any(words[at + 1 : at + 2] and words[at + 1] in _NUMBER for at in places)
    return bool(places)


def _about_the_web(words: tuple[str, ...]) -> bool:
    return any(word in words for word in ("web", "url", "website"))


def ask_ssn_header(case: Case) -> Answer:
    """Whether a name or header says Social Security number, and the role does not say identifier."""
    return _ask_headers(case, "ssn-header", ssn=True)


def ask_identifier_header(case: Case) -> Answer:
    """Whether a name or header says another direct identifier, and the role does not say identifier."""
    return _ask_headers(case, "identifier-header", ssn=False)


def _ask_headers(case: Case, rule: str, *, ssn: bool) -> Answer:
    made = []
    for column in case.table.columns:
        kinds = [kind for kind in _column_kinds(column) if (kind == "ssn") == ssn]
        if kinds and column.role != "identifier":
            what = "a Social Security number" if ssn else f"a direct identifier ({', '.join(kinds)})"
            text = (
                f"The name or header of {column.name} says {what}; its role is {column.role or 'not given'}."
            )
            made.append(case.finding(rule, [column.name], 1, 1, text, kinds=", ".join(kinds)))
    return Answer(tuple(made), len(case.table.columns))


def _column_kinds(column: Column) -> tuple[str, ...]:
    said = [header_kinds(text) for text in (column.name, column.header or "", column.label or "")]
    return tuple(dict.fromkeys(kind for kinds in said for kind in kinds))
