"""What a value may look like: a mail, a phone, an IBAN, a card, a number that a state gives people.

With checksums where there are some. python-stdnum knows the national numbers and Presidio more
patterns, where they are installed; all else is here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

_MAIL = re.compile(r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_PHONE = re.compile(r"(?:\+|00)[1-9][\d ()/.-]{6,20}\d|\(?0\d{1,5}\)?[ /-]\d[\d ()/.-]{4,16}\d")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
_CARD = re.compile(r"[3-6]\d{3}(?:[ -]?\d){9,15}|2[2-7]\d{2}(?:[ -]?\d){12}")
_SSN = re.compile(r"\d{3}-\d{2}-\d{4}")
# Only such values are given to the checks of national numbers, which take their time.
_NUMBER = re.compile(r"(?=(?:\D*\d){6})[\dA-Za-z ./-]{8,20}")
_NAMES = re.compile(
    r"(?:^|_)(?:e_?mail|phone|mobile|iban|card_?(?:number|no)|ssn|passport|tax_?id"
    r"|birth_?(?:date|day)|date_of_birth|dob|(?:first|last|given|family|sur|full|maiden)_?name"
    r"|street|address|ip_?address|nachname|vorname|geburtsdatum|telefon|strasse)(?:$|_)"
)
# By country (ISO 13616).
_IBAN_LENGTHS = {
    "AE": 23, "AT": 20, "BE": 16, "BG": 22, "BR": 29, "CH": 21, "CY": 28, "CZ": 24, "DE": 22,
    "DK": 18, "EE": 20, "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28,
    "IE": 22, "IL": 23, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27,
    "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SA": 24, "SE": 24, "SI": 19,
    "SK": 24, "SM": 27, "TR": 26, "UA": 29,
}  # fmt: skip
_FEW = 50
_PRESIDIO_VALUES = 100

Check = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Sign:
    """What values look like; `least` is the share of them from which a column does."""

    what: str
    is_one: Check
    least: float
    of_numbers: bool = False


def look_like(values: Sequence[str], *, is_text: bool) -> tuple[str, float, int] | None:
    """What values look like, the share that does, and of how many; None of nothing personal.

    Args:
        values: not empty, as texts.
        is_text: whether they are texts in the table; whole numbers are of fewer kinds.
    """
    for sign in _SIGNS:
        if is_text or sign.of_numbers:
            share = sum(map(sign.is_one, values)) / len(values)
            if share >= sign.least:
                return sign.what, share, len(values)
    return _national(values) or (_presidio(values[:_PRESIDIO_VALUES]) if is_text else None)


def is_personal_name(column: str) -> bool:
    """Whether the name of a column says that it may be personal: a hint, no more."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column)
    return _NAMES.search(re.sub(r"[ -]", "_", words).lower()) is not None


def checkers() -> list[str]:
    """What is installed that knows more."""
    return [name for name in ("stdnum", "presidio_analyzer") if _is_installed(name)]


@cache
def _is_installed(module: str) -> bool:
    return find_spec(module) is not None


def _has_mail(value: str) -> bool:
    return "@" in value and _MAIL.search(value) is not None


def _has_iban(value: str) -> bool:
    return any(_is_iban(match[0].replace(" ", "")) for match in _IBAN.finditer(value))


def _is_iban(text: str) -> bool:
    """Whether a text begins with an IBAN: of its country's length, with the right check digits.

    What follows in a sentence may look as if it belonged to it.
    """
    length = _IBAN_LENGTHS.get(text[:2])
    if length is None or len(text) < length:
        return False
    turned = text[4:length] + text[:4]
    return int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1


def _is_card(value: str) -> bool:
    """Whether a value is a number of a card: its first digits, its length, its check digit."""
    if _CARD.fullmatch(value.strip()) is None:
        return False
    digits = [int(sign) for sign in value if sign.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_phone(value: str) -> bool:
    return _PHONE.fullmatch(value.strip()) is not None


# The surest first. A checksum of one digit is right by chance in one of ten numbers.
_SIGNS = (
    Sign("e-mail addresses", _has_mail, 0.01),
    Sign("IBANs", _has_iban, 0.05),
    Sign("card numbers", _is_card, 0.5, of_numbers=True),
    Sign("phone numbers", _is_phone, 0.5),
)
_NATIONAL_LEAST = 0.8


def _national(values: Sequence[str]) -> tuple[str, float, int] | None:
    """Which national numbers values are; a few are asked first."""
    few = values[:_FEW]
    if sum(_NUMBER.fullmatch(value) is not None for value in few) < _NATIONAL_LEAST * len(few):
        return None
    for what, check in _checks():
        if sum(map(check, few)) >= _NATIONAL_LEAST * len(few):
            share = sum(map(check, values)) / len(values)
            if share >= _NATIONAL_LEAST:
                return what, share, len(values)
    return None


@cache
def _checks() -> tuple[tuple[str, Check], ...]:
    """The checks of national numbers that python-stdnum has, where it is installed."""
    if not _is_installed("stdnum"):
        return ()
    from stdnum.be import nn
    from stdnum.br import cpf
    from stdnum.ch import ssn as ahv
    from stdnum.de import idnr
    from stdnum.es import dni
    from stdnum.fr import nir
    from stdnum.gb import nhs
    from stdnum.it import codicefiscale
    from stdnum.nl import bsn
    from stdnum.pl import pesel
    from stdnum.se import personnummer
    from stdnum.us import ssn

    def is_ssn(value: str) -> bool:
        # It has no check digit: without its hyphens it is any number of nine digits.
        return _SSN.fullmatch(value) is not None and bool(ssn.is_valid(value))

    checks = {
        "social security numbers (US)": is_ssn,
        "social security numbers (CH)": ahv.is_valid,
        "tax numbers (DE)": idnr.is_valid,
        "tax numbers (IT)": codicefiscale.is_valid,
        "tax numbers (BR)": cpf.is_valid,
        "national numbers (BE)": nn.is_valid,
        "national numbers (ES)": dni.is_valid,
        "national numbers (FR)": nir.is_valid,
        "national numbers (PL)": pesel.is_valid,
        "national numbers (SE)": personnummer.is_valid,
        "citizen numbers (NL)": bsn.is_valid,
        "health service numbers (GB)": nhs.is_valid,
    }
    return tuple(checks.items())


def _presidio(values: Sequence[str]) -> tuple[str, float, int] | None:
    """What most values look like to more patterns of Presidio, where it is installed."""
    if not _is_installed("presidio_analyzer"):
        return None
    from presidio_analyzer.predefined_recognizers import CryptoRecognizer, IpRecognizer

    for what, recognizer, entity in (
        ("IP addresses", IpRecognizer(), "IP_ADDRESS"),
        ("crypto wallets", CryptoRecognizer(), "CRYPTO"),
    ):
        count = sum(bool(recognizer.analyze(value, [entity], None)) for value in values)
        if count >= 0.5 * len(values):
            return what, count / len(values), len(values)
    return None
