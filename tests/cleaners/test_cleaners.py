import pyarrow as pa
import pytest
from bmtool.cleaners.boilerplate import Boilerplate
from bmtool.cleaners.replace import Replace
from bmtool.cleaners.unicode import Unicode
from bmtool.cleaners.whitespace import Whitespace
from bmtool.config.model import ValidationError, validate, what


def clean(cleaner, *texts):
    return cleaner.clean(pa.array(texts, pa.string())).to_pylist()


def test_unicode_composes_characters_and_takes_out_invisible_ones():
    assert clean(Unicode(), "cafe\u0301", "a\u00adb\u200bc\ufeffd\x07e\x85", "tab\tand\r\nline") == [
        "café",
        "abcde\x85",
        "tab\tand\r\nline",
    ]


def test_unicode_keeps_joiners_and_every_script():
    full_width = "\uff46\uff55\uff4c\uff4c"
    texts = ["\u0645\u06cc\u200c\u062e", "\U0001f469\u200d\U0001f467", "这家餐厅", full_width]

    assert clean(Unicode(), *texts) == texts
    assert clean(Unicode(form="NFKC"), full_width) == ["full"]


def test_whitespace_is_folded():
    assert clean(
        Whitespace(),
        "  a  b\t\tc\u00a0d\u3000e ",
        "one \r\n two\r\n\r\n\r\n\r\nthree\rfour\u2028five",
        " \n ",
        "",
    ) == ["a b c d e", "one\ntwo\n\nthree\nfour\nfive", "", ""]


def test_whitespace_is_the_same_when_done_twice():
    once = clean(Whitespace(), " a \n \n \n b\t\n\t\n\tc ")

    assert clean(Whitespace(), *once) == once == ["a\n\nb\n\nc"]


def test_replace_knows_groups_classes_and_case():
    assert clean(Replace(pattern=r"(?i)\b(torch|numpy)\b"), "Torch, numpy2 NumPy") == [", numpy2 "]
    assert clean(validate(Replace, {"pattern": r"(\w+)@(\w+)", "with": r"\2 at \1"}), "a@b") == ["b at a"]
    assert clean(Replace(pattern=r"\p{Han}+", replacement="*"), "a这家b") == ["a*b"]


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "(?<!a)b", "a++", ""])
def test_a_pattern_that_re2_does_not_know_is_refused_while_reading_the_configuration(pattern):
    with pytest.raises(ValidationError):
        validate(Replace, {"pattern": pattern})


def test_what_replaces_is_in_the_fingerprint():
    assert what(validate(Replace, {"pattern": "a", "with": "b"})) == {"type": "replace", "pattern": "a", "with": "b"}


@pytest.mark.parametrize("cleaner", [Unicode(), Whitespace(), Replace(pattern="x"), Boilerplate()])
def test_no_text_gets_lost(cleaner):
    texts = ["a", "", "x" * 100_000, "这家"]

    assert len(clean(cleaner, *texts)) == 4
    assert clean(cleaner) == []


@pytest.mark.parametrize(
    "line",
    [
        "This site uses cookies to serve you.",
        "Read our Privacy Policy.",
        "Please enable JavaScript to view this page.",
        "Home",
        " | Menu | ",
        "Read more...",
        "Back to top",
        "\u00bb Next",
        "1,234 likes",
        "3 comments",
        "SIGN IN",
    ],
)
def test_lines_of_the_page_are_dropped(line):
    assert clean(Boilerplate(), f"A sentence stays.\n{line}\nSo does this.") == ["A sentence stays.\nSo does this."]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "He went home.",
        "The cookie was good.",
        "Search for meaning",
        "1,234",
        "policy: private",
        "next to the house",
        "Java script",
    ],
)
def test_lines_of_the_text_stay(line):
    assert clean(Boilerplate(), f"{line}\n{line}") == [f"{line}\n{line}"]


def test_lines_that_end_no_sentence_are_dropped_if_asked_for():
    text = "A heading\nA sentence.\nA question? \nGoes on...\n\n这是一句。\n标题\n\u201cSaid.\u201d\nUses cookies."

    assert clean(Boilerplate(lines=("unpunctuated",)), text) == [
        "A sentence.\nA question? \n\n这是一句。\n\u201cSaid.\u201d\nUses cookies."
    ]
    assert clean(Boilerplate(), text) == [text.removesuffix("\nUses cookies.")]


def test_no_line_to_drop_is_refused():
    with pytest.raises(ValidationError):
        validate(Boilerplate, {"lines": []})
