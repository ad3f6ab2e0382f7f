"""International bank account numbers."""

from __future__ import annotations

from typing import ClassVar

from bmtool.contracts import Scrubber

#: Countries by the length of their numbers (SWIFT's IBAN registry, release 99).
_COUNTRIES = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}


class Iban(Scrubber):
    """Find IBANs: a country of the registry, its length, and the check digits (ISO 13616, mod 97 of ISO 7064).

    In capitals, together or in groups of four with spaces or hyphens between them.
    """

    precedence: ClassVar[int] = 30

    def pattern(self) -> str:
        """Country, check digits, and as many characters as the country has."""
        shapes = []
        for length, countries in _COUNTRIES.items():
            groups, rest = divmod(length - 4, 4)
            end = rf"[ -]?[0-9A-Z]{{{rest}}}" if rest else ""
            shapes.append(rf"(?:{'|'.join(countries.split())})\d\d(?:[ -]?[0-9A-Z]{{4}}){{{groups}}}{end}")
        return rf"\b(?:{'|'.join(shapes)})\b"

    def is_valid(self, value: str, before: str, after: str) -> bool:
        """The number, letters read as 10 to 35 and the first four characters moved to the end, is 1 modulo 97."""
        del before, after
        plain = self.normalised(value)
        return int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1

    def normalised(self, value: str) -> str:
        """Without spaces and hyphens."""
        return value.replace(" ", "").replace("-", "")
