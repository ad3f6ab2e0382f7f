import pytest
from bmtool.data.passes.origins import script_of


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Hello, world 5", "Latin"),
        ("这家餐厅的菜很好吃", "Han"),
        ("この店の料理は美味しい", "Japanese"),
        ("漢字漢字漢字だ", "Japanese"),
        ("Привет, мир", "Cyrillic"),
        ("ร้านนี้อร่อย", "Thai"),
        ("한국어 문장", "Hangul"),
        ("12 + 5 = 17", ""),
        ("", ""),
    ],
)
def test_the_script_is_the_one_of_most_letters(text, script):
    assert script_of(text) == script


def test_only_the_beginning_is_looked_at():
    assert script_of("a" * 100 + "я" * 500) == "Latin"
