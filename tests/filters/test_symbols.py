import unicodedata

import pyarrow as pa
import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.data.text.characters import count_characters
from bmtool.data.text.documents import Documents
from bmtool.filters.symbols import Symbols

CLEAN = [
    "This is a sentence, and (with luck) a clean one: isn't it? Yes - 100%!",
    "北京大学的学生们在图书馆里读书\uff0c气氛安静而专注。",
    "吾輩は猫である。名前はまだ無い。どこで生れたか、とんと見当がつかぬ。",
    "วันนี้อากาศดีมากเราจึงไปเดินเล่นในสวน",
    "هذه جملة نظيفة، أليس كذلك؟",
    "यह एक साफ़ वाक्य है। क्या यह सही है?",
    "Это чистое предложение, не так ли?",
    "이것은 깨끗한 문장입니다, 그렇죠?",
]


def judged(judge, text):
    verdict = judge.judge(Documents(pa.array([text], pa.string())))
    return (judge.rules()[verdict.rule[0]], verdict.value[0]) if verdict.rule[0] >= 0 else None


@pytest.mark.parametrize("text", CLEAN)
def test_prose_in_any_script_stays(text):
    assert judged(Symbols(), text) is None


@pytest.mark.parametrize(
    ("text", "rule", "value"),
    [
        ("#### ab", "max_symbol_ratio", 4 / 6),
        ("{ab} | = ☃😀", "max_symbol_ratio", 6 / 8),
        ("1234 ab\n", "max_digit_ratio", 4 / 6),
        ("١٢٣٤ ab", "max_digit_ratio", 4 / 6),
        ("LOUD words", "max_upper_ratio", None),
        ("ЭЙ ДЫЩ", "max_upper_ratio", 1),
        ("a... ,,, ;;;", "min_letter_ratio", 0.1),
        ("", "min_letter_ratio", 0),
    ],
)
def test_too_much_of_a_kind_drops_and_white_space_does_not_count(text, rule, value):
    found = judged(Symbols(max_upper_ratio=0.3), text)

    assert found[0] == rule
    assert value is None or found[1] == pytest.approx(value)


def test_scripts_without_capitals_have_none():
    counts = count_characters(Documents(pa.array(["这ABc", "عربي"])))

    assert counts.upper.tolist() == [2, 0]
    assert counts.lower.tolist() == [1, 0]
    assert counts.letters.tolist() == [4, 4]


def test_every_character_is_of_one_kind():
    every = "".join(chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000)

    counts = count_characters(Documents(pa.array([every])))

    kinds = [unicodedata.category(character) for character in every]
    assert counts.upper[0] == sum(kind in ("Lu", "Lt") for kind in kinds)
    assert counts.lower[0] == kinds.count("Ll")
    assert counts.digits[0] == sum(kind in ("Nd", "Nl") for kind in kinds)
    assert counts.letters[0] == sum(kind[0] in "LM" for kind in kinds) + 2  # the joiners


@pytest.mark.parametrize("settings", [{"max_symbol_ratio": 1.1}, {"max_digit_ratio": -0.1}, {"min_letters": 0.5}])
def test_ratios_out_of_range_are_refused(settings):
    with pytest.raises(ValidationError):
        validate(Symbols, settings)
