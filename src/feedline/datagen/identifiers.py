"""Securities and entity identifiers with valid check digits, so that consumers that verify them can."""

from __future__ import annotations

from random import Random

from feedline.datagen.chance import digits, letters

_SEDOL_ALPHABET = "BCDFGHJKLMNPQRSTVWXYZ"
_SEDOL_WEIGHTS = (1, 3, 1, 7, 3, 9)


def _expanded(code: str) -> str:
    """Letters as numbers from 10 (A) to 35 (Z), as ISO 6166 and ISO 7064 count them."""
    return "".join(str(int(character, 36)) for character in code)


def isin(country: str, national: str) -> str:
    """ISO 6166: country, nine characters, check digit by the Luhn rule over the expanded characters."""
    total = 0
    for place, character in enumerate(reversed(_expanded(country + national))):
        value = int(character) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return f"{country}{national}{-total % 10}"


def cusip(chance: Random) -> str:
    """Six characters of issuer, two of issue, check digit by the CUSIP modulus 10 double-add-double rule."""
    body = digits(chance, 5) + letters(chance, 1) + digits(chance, 2)
    total = 0
    for place, character in enumerate(body):
        value = int(character, 36) * (2 if place % 2 else 1)
        total += value // 10 + value % 10
    return f"{body}{-total % 10}"


def sedol(chance: Random) -> str:
    """A letter, five characters and the check digit that makes the weighted sum a multiple of ten."""
    body = letters(chance, 1, _SEDOL_ALPHABET) + digits(chance, 5)
    total = sum(weight * int(character, 36) for weight, character in zip(_SEDOL_WEIGHTS, body, strict=True))
    return f"{body}{-total % 10}"


def lei(chance: Random) -> str:
    """ISO 17442: prefix of the issuing unit, twelve characters of the entity, two check digits (ISO 7064, 97-10)."""
    body = f"{digits(chance, 4)}00{letters(chance, 4)}{digits(chance, 8)}"
    return f"{body}{98 - int(_expanded(body + '00')) % 97:02d}"


def figi(chance: Random) -> str:
    """BBG and nine characters; the check digit is that of the Luhn rule over expanded characters."""
    body = "BBG00" + letters(chance, 2, "BCDFGHJKLMNPQRSTVWXYZ") + digits(chance, 4)
    total = 0
    for place, character in enumerate(body):
        value = int(character, 36) * (2 if place % 2 else 1)
        total += sum(map(int, str(value)))
    return f"{body}{-total % 10}"


def iban(country: str, account: str) -> str:
    """ISO 13616: two check digits by ISO 7064, 97-10, over the account and the country."""
    return f"{country}{98 - int(_expanded(f'{account}{country}00')) % 97:02d}{account}"


def bic(bank: str, country: str, place: str) -> str:
    """ISO 9362: four letters of the bank, country, two of the place, head office."""
    return f"{bank}{country}{place}XXX"
