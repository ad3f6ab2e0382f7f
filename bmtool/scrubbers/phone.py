"""Telephone numbers of many countries."""

from __future__ import annotations

import re
from typing import ClassVar

from bmtool.contracts import Scrubber
from bmtool.data.text.patterns import any_case

#: What may stand between two digits of an international number (the last one is the no-break space).
_GAP = r"[ ().\-/" + "\u00a0]{0,3}"

#: Country codes by the digits that follow where that is (nearly) fixed, from the national plans that the ITU publishes:
#: so many are taken, and a number that stands behind stays.
_FIXED = {
    8: "45|47|65|852",
    9: "27|31|32|33|34|41|48|61|66|84|351|971",
    10: "1|7|44|52|81|82|90|91|92",
    11: "55|86",
}

#: Country codes in use (ITU-T E.164, list of assigned codes).
_COUNTRY = re.compile(
    r"1|7|2(?:0|7|1[12368]|[2346]\d|5[0-8]|9[01789])|3(?:[0-4]|6|9|5\d|7[0-8]|8[0-35-79])|4(?:[0134-9]|2[013])"
    r"|5(?:[1-8]|0\d|9\d)|6(?:[0-6]|7[02-9]|8[0-35-9]|9[0-2])|8(?:[1246]|0[08]|5[02356]|7[08]|8[0-368])"
    r"|9(?:[0-58]|6[0-8]|7[0-79]|9[2-68])"
)

#: North America: area and exchange start with 2 to 9, and neither is N11.
_AMERICAN = re.compile(r"(?:1[-. ])?\(?[2-9]\d\d\)?[-. ]?\d{3}[-. ]\d{4}")
_NORTH_AMERICA = re.compile(r"1?[2-9](?!11)\d\d[2-9](?!11)\d{6}")

#: Words that announce a number, in capitals or not.
_WORDS = r"\b" + any_case("telephone", "telefon", "telefono", "telefax", "tel", "phone", "mobile", "cell", "fax", "mob")
_WORDS += "|" + any_case("téléphone", "teléfono", "telefone", "телефон", "тел", "whatsapp")
_WORDS += "|电话|電話|手机|手機|传真|傳真|热线|熱線|携帯|전화|휴대폰|팩스"
_NUMBER = rf"(?:[.#]| ?{any_case('no.', 'no', 'nr.', 'number')}|号码|號碼|番号|번호)"
_ANNOUNCED = rf"(?:{_WORDS}){_NUMBER}? ?" + "[:\uff1a=]? ?"  # or a full-width colon
_ANNOUNCEMENT = re.compile(rf"(?:{_ANNOUNCED})\(?$", re.ASCII)

#: Directly before or behind a number: it is a part of a word, of another number, of a formula.
_INSIDE = r"\w.,+*^#@$%/€£=-"
_INSIDE_BEFORE = re.compile(rf"(?:[{_INSIDE}]|\d:)$", re.ASCII)
_INSIDE_AFTER = re.compile(r"[-./:,]?\d|[-/_%=@]\w|[*^%]| ?[%€$£]", re.ASCII)
#: The same with a space between, for numbers that have spaces themselves: a row of a table.
_ROW_BEFORE, _ROW_AFTER = re.compile(r"\d[.,]? +$"), re.compile(r" +[-+]?\d")

#: Memory in hexadecimal, addresses filled up with zeros.
_OTHER_ROW = re.compile(r"00\d\d[ -]00|\d{8}-\d{8}|\d{3}(?:\.\d{3}){3}$")
_DATE = re.compile(r"\d\d?([-./ ])\d\d?\1(?:19|20)\d\d|(?:19|20)\d\d([-./ ])\d\d?\2\d\d?")


class Phone(Scrubber):
    """Find telephone numbers: with a country code in use, in a national grouping, or behind a word such as `tel`.

    National groupings: North America, China, Brazil, Russia, and those that start with 0 (most of Europe, Japan, Korea,
    Australia, ...). Digits without any grouping need `+`, `00` or a word before them, but for Chinese mobile numbers.
    """

    precedence: ClassVar[int] = 70

    def pattern(self) -> str:
        """International, national, and anything with 7 to 15 digits behind a word."""
        gap = r"[ ().\-/]{0,2}"
        announced = rf"{_ANNOUNCED}(\(?\d(?:{gap}\d){{6,14}})\b"
        return "|".join((*_international(), announced, _national()))

    def is_valid(self, value: str, before: str, after: str) -> bool:
        """A country code in use, a plausible number of digits; no date, no decimal, no row of numbers."""
        digits = self.normalised(value)
        if re.match(r"[-_./]?[A-Za-z0-9]", after) and not after.startswith("."):
            return False
        if value.startswith("+"):
            inside = re.search(r"[\w+*^.)-]$", before, re.ASCII) or re.match(r"[.,]\d", after)
            return not inside and _is_international(digits)
        if _DATE.match(value) or _OTHER_ROW.match(value):
            return False
        if _ANNOUNCEMENT.search(before):
            return True
        if _INSIDE_BEFORE.search(before) or _INSIDE_AFTER.match(after):
            return False
        if len(set(value) - set("0123456789 ()")) > 1:
            return False
        if value.startswith("00"):
            return _is_international(digits.removeprefix("00"))
        if " " in value and (_ROW_BEFORE.search(before) or _ROW_AFTER.match(after)):
            return False
        return len(digits) >= 9 and (not _AMERICAN.fullmatch(value) or _NORTH_AMERICA.fullmatch(digits) is not None)

    def normalised(self, value: str) -> str:
        """Digits only."""
        return "".join(character for character in value if "0" <= character <= "9")


def _international() -> list[str]:
    fixed = [rf"\+(?:{codes})(?:{_GAP}\(0\))?(?:{_GAP}\d){{{count}}}\b" for count, codes in _FIXED.items()]
    return [*fixed, rf"\+[1-9](?:{_GAP}\d){{7,14}}\b"]


def _national() -> str:
    """One group behind a character that no number starts after: most rows of digits are not even looked at."""
    shapes = (
        rf"00[1-9]\d(?:{_GAP}\d){{7,12}}",  # international without +
        r"\([2-9]\d\d\) ?[2-9]\d\d[- ]\d{4}",  # North America
        r"(?:1[- ])?[2-9]\d\d[- ][2-9]\d\d[- ]\d{4}",
        r"(?:1\.)?[2-9]\d\d\.[2-9]\d\d\.\d{4}",
        r"0[1-9]\d{0,3}(?: ?[-/] ?| )\d{5,8}",  # 030/1234567, 010-12345678, 01632 960983
        r"0[1-9](?:[-. ]\d\d){4}",  # 01 23 45 67 89
        r"0[1-9]\d{0,3}(?: ?[-/] ?|[. ])\d{3,4}[-. ]\d{3,4}",  # 020 7946 0958, 090-1234-5678, 0412 345 678
        r"0[1-9]\d{1,3}(?: ?[-/] ?|[. ])\d{2,3}[- ]\d\d[- ]\d\d(?:[- ]\d\d)?",  # 0171 123 45 67, 070-12 34 56
        r"\(0\d{1,4}\) ?\d{2,8}(?:[- ]\d{2,4}){0,3}",  # (02) 9876 5432
        r"\([1-9]\d\) ?9?\d{4}-\d{4}",  # Brazil
        r"8[- ]?\(?[3489]\d\d\)?[- ]\d{3}[- ]\d\d[- ]?\d\d",  # Russia
        r"1(?:3\d|4[014-9]|5[0-35-9]|6[2567]|7[0-8]|8\d|9[0-35-9])[- ]?\d{4}[- ]?\d{4}",  # China, mobile
    )
    return rf"(?:^|[^{_INSIDE}])((?:{'|'.join(shapes)})\b)"


def _is_international(digits: str) -> bool:
    country = _COUNTRY.match(digits)
    if country is None or not 8 <= len(digits) <= 15:
        return False
    return country[0] != "1" or _NORTH_AMERICA.fullmatch(digits) is not None
