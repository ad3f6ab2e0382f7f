"""Regular expressions that run in linear time: RE2's syntax, checked while a configuration is read."""

from __future__ import annotations

import re

#: Where Python's `re` may take what RE2 doesn't: look-around, atomic and conditional groups, comments, flags, other
#: escapes, possessive and long repetitions, back-references.
_ASK_RE2 = re.compile(r"\(\?(?:[=!>(#]|<[=!]|P=|[a-zA-Z]*[aLux])|(?<!\\)(?:\\\\)*\\[1-9ZuUN]|[*+?}]\+|\{")


def fault_of(pattern: str, replacement: str = "") -> str:
    """What RE2 says against `pattern`, or against what replaces it; empty if nothing."""
    try:
        re.compile(pattern)
    except re.error:
        pass  # RE2 knows more, such as \p{Han}: ask it
    else:
        if not _ASK_RE2.search(pattern) and "\\" not in replacement:
            return ""
    import pyarrow as pa  # takes long, and few patterns need it
    import pyarrow.compute as pc

    try:
        pc.replace_substring_regex(pa.array([""]), pattern, replacement)
    except pa.ArrowInvalid as error:
        return str(error).partition(": ")[2] or str(error)
    return ""


def any_case(*words: str) -> str:
    """A pattern for any of `words` in upper, lower or mixed case.

    `(?i)` isn't the same everywhere: in RE2 `k` matches the Kelvin sign too, in `re` with ASCII classes it doesn't.
    """
    return f"(?:{'|'.join(''.join(_either_case(c) for c in word) for word in words)})"


def _either_case(character: str) -> str:
    pair = {character.lower(), character.upper()}
    return f"[{''.join(sorted(pair))}]" if len(pair) == 2 else re.escape(character)
