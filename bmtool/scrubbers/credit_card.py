"""Numbers of payment cards."""

from __future__ import annotations

import re
from typing import ClassVar

from bmtool.contracts import Scrubber

#: (first digits, lengths) of the networks, from their published ranges of issuer numbers (ISO/IEC 7812).
_NETWORKS = (
    (re.compile("4"), (13, 16, 19)),  # Visa
    (re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),  # Mastercard
    (re.compile("3[47]"), (15,)),  # American Express
    (re.compile("6011|64[4-9]|65"), (16, 17, 18, 19)),  # Discover
    (re.compile("30[0-5]|36|3[89]"), (14, 15, 16, 17, 18, 19)),  # Diners Club
    (re.compile("35(?:2[89]|[3-8])"), (16, 17, 18, 19)),  # JCB
    (re.compile("62"), (16, 17, 18, 19)),  # UnionPay
    (re.compile("220[0-4]"), (16, 17, 18, 19)),  # Mir
    (re.compile("50(?:18|20|38)|5893|6304|6759|676[1-3]"), (13, 14, 15, 16, 17, 18, 19)),  # Maestro
)

#: Twice a digit, its digits added: what Luhn's sum takes at every second place.
_TWICE = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


class CreditCard(Scrubber):
    """Find card numbers: a known issuer, its length, and Luhn's check digit (ISO/IEC 7812-1, annex B).

    Digits stand together, or in groups (4-4-4-4, 4-6-5, ...) with spaces or hyphens between them.
    """

    precedence: ClassVar[int] = 50

    def pattern(self) -> str:
        """13 to 19 digits together, or groups of four; 4-6-5 and 4-6-4 for American Express and Diners Club."""
        # A part of a decimal number is no candidate: in a table of numbers there would be many.
        groups = r"[2-6]\d{3}(?:[ -]\d{4}){2}[ -]\d{1,4}(?:[ -]\d{3})?"
        return rf"(?:^|[^\w.-])((?:[2-6]\d{{12,18}}|{groups}|3\d{{3}}[ -]\d{{6}}[ -]\d{{4,5}})\b)"

    def is_valid(self, value: str, before: str, after: str) -> bool:
        """No part of a decimal number or of a row of numbers; issuer, length and check digit decide."""
        digits = self.normalised(value)
        if re.match(r"[-_@]|\.\d", after):
            return False
        if " " in value and (re.search(r"\d{4} $", before) or re.match(r" \d{4}(?!\d)", after)):
            return False
        return any(len(digits) in sizes and first.match(digits) for first, sizes in _NETWORKS) and _luhn(digits)

    def normalised(self, value: str) -> str:
        """Digits only."""
        return value.replace(" ", "").replace("-", "")


def _luhn(digits: str) -> bool:
    backwards = [int(digit) for digit in reversed(digits)]
    return (sum(backwards[::2]) + sum(_TWICE[digit] for digit in backwards[1::2])) % 10 == 0
