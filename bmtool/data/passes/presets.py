"""Settings of data preparation that suit a kind of text: for the web, for documentation, for programs.

They are written as in a file and read like it; a reason stands with each. A dataset's own `clean`, `filters` or `scrub`
replaces the preset's list.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Choice(NamedTuple):
    """A component as it is written in a file, and why it is there."""

    setting: str | dict[str, Any]
    why: str


_PRIVATE = (
    Choice("secret", "a leaked key works for whoever reads it out of a model"),
    Choice("email", "FineWeb takes out e-mail addresses too (Penedo et al. 2024, section 3.8)"),
    Choice("ip", "and IP addresses"),
    Choice("phone", "names a person"),
    Choice("iban", "names an account; the check digits leave next to no false hits"),
    Choice("credit_card", "likewise"),
    Choice("chinese_id", "likewise"),
)

PRESETS: dict[str, dict[str, tuple[Choice, ...]]] = {
    "web": {
        "clean": (
            Choice("unicode", "one form for one character; pages mix them, with invisible ones between"),
            Choice("boilerplate", "cookie notices and menus come with every page, and are no text"),
            Choice("whitespace", "what is left of a page's layout says nothing"),
        ),
        "filters": (
            Choice({"type": "length", "min_chars": 200, "max_chars": 100_000}, "the cheapest first: stubs and dumps"),
            Choice("gopher_repetition", "FineWeb's order from here on, with the published thresholds"),
            Choice("gopher_quality", "word lists, tables and keyword spam"),
            Choice("c4", "placeholders, programs, and pages without five sentences"),
            Choice("fineweb", "lists and menus that the others let through"),
        ),
        "scrub": _PRIVATE,
    },
    "docs": {
        "clean": (
            Choice("unicode", "one form for one character"),
            Choice("whitespace", "indentation of manuals and mail says little in prose"),
        ),
        "filters": (
            Choice(
                {"type": "length", "min_chars": 100, "max_chars": 1_000_000},
                "an entry of a reference is short, a manual is long",
            ),
            Choice(
                {
                    "type": "gopher_repetition",
                    "dup_line_frac": 0.5,
                    "dup_para_frac": 0.5,
                    "dup_line_char_frac": 0.4,
                    "dup_para_char_frac": 0.4,
                },
                "headings such as `Parameters` recur in good documentation: half may be copies, not a third",
            ),
            Choice("symbols", "tables of numbers and art in ASCII: 1 % of 12,680 pages of documentation"),
        ),
        "scrub": _PRIVATE,
    },
    "code": {
        "clean": (Choice("unicode", "NFC changes no program; white space is syntax and stays"),),
        "filters": (
            Choice(
                {
                    "type": "length",
                    "min_chars": 50,
                    "max_chars": 1_000_000,
                    "max_line_chars": 1_000,
                    "max_mean_line_chars": 100,
                },
                "StarCoder's limits: longer lines are minified, generated or data (Li et al. 2023, section 3.2)",
            ),
            Choice(
                {"type": "symbols", "max_symbol_ratio": 0.35, "max_upper_ratio": 0.9},
                "StarCoder asks for a quarter of letters; 99 % of Python, C, Perl and JavaScript files are within",
            ),
        ),
        "scrub": (
            Choice("secret", "programs are where keys leak"),
            Choice("email", "authors in headers"),
            Choice("ip", "configuration; phone numbers and cards are left out: here numbers are numbers"),
        ),
    },
}


#: What each is for.
SUMMARIES = {
    "web": "Pages of the web: FineWeb's filters in its order.",
    "docs": "Manuals, references, mail and other documentation.",
    "code": "Programs: white space stays, and StarCoder's limits on lines and symbols.",
}


def settings_of(preset: str) -> dict[str, list[str | dict[str, Any]]]:
    """The lists `clean`, `filters` and `scrub` of a preset, as they are written in a file.

    Raises:
        KeyError: there is no such preset.
    """
    return {key: [choice.setting for choice in choices] for key, choices in PRESETS[preset].items()}
