import pyarrow as pa
import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.data.text.documents import Documents
from bmtool.filters.c4 import C4
from bmtool.filters.fineweb import FineWeb
from bmtool.filters.gopher_quality import GopherQuality
from bmtool.filters.gopher_repetition import GopherRepetition

# ruff: noqa: RUF001 - Chinese and Thai punctuation is tested on purpose

FILTERS = (GopherQuality(), GopherRepetition(), C4(), FineWeb())
PROSE = (
    "The harbour was quiet when we came back with the last of the boats, and nobody had thought to light the lamps.\n"
    "My brother said that it would rain before morning. He was right, as he often is about the weather there!\n"
    "We carried everything up to the house. Have you ever seen a storm from so close? I won't forget it.\n"
)
CHINESE = (
    "昨天下午，市政府召开新闻发布会，介绍今年冬季供暖工作的准备情况。记者从会上了解到，全市一千二百座热力站已经完成检修。\n"
    "“我们会提前三天开始试运行。”负责人王女士说，居民如果发现暖气漏水，可以随时拨打服务电话！\n"
    "去年同一时期，老城区有些小区温度不够，群众意见很大。这个问题今年能不能解决？\n"
    "发布会后，部分代表参观了新建成的燃气锅炉房。（新华社记者李明）\n"
)
THAI = (
    "เมื่อวานนี้เราเดินทางไปเที่ยวทะเลกับครอบครัว อากาศดีมากและลมพัดเย็นสบาย\n"
    "พี่ชายของฉันชอบถ่ายรูปพระอาทิตย์ตกดิน ส่วนแม่นั่งอ่านหนังสือใต้ต้นมะพร้าว\n"
    "ตอนเย็นพวกเรากินอาหารทะเลสดใหม่ที่ร้านเล็กๆ ใกล้ท่าเรือ ราคาไม่แพงเลย\n"
)


def failed(chosen, text):
    """(rule, value, threshold) of the rule that drops a text, or None."""
    verdict = chosen.judge(Documents(pa.array([text])))
    if verdict.rule[0] < 0:
        return None
    return chosen.rules()[verdict.rule[0]], verdict.value[0], verdict.threshold[0]


@pytest.mark.parametrize("chosen", FILTERS, ids=lambda chosen: type(chosen).__name__)
@pytest.mark.parametrize("text", [PROSE, CHINESE, THAI], ids=["english", "chinese", "thai"])
def test_prose_stays_in_every_kind_of_script(chosen, text):
    assert failed(chosen, text) is None


@pytest.mark.parametrize("chosen", FILTERS, ids=lambda chosen: type(chosen).__name__)
@pytest.mark.parametrize("text", ["", " \n ", "\n"])
def test_texts_without_words_go(chosen, text):
    assert failed(chosen, text) is not None


@pytest.mark.parametrize(
    ("text", "rule", "value", "threshold"),
    [
        ("the be to " * 10, "min_doc_words", 30, 50),
        ("a b the be " * 20, "min_avg_word_length", 1.75, 3),
        ("internationalisation of the " * 20, "max_avg_word_length", pytest.approx(25 / 3), 8),
        (PROSE + "# " * 12, "max_symbol_word_ratio_hashes", pytest.approx(12 / 83), 0.1),
        (PROSE + "... " * 12, "max_symbol_word_ratio_ellipses", pytest.approx(12 / 83), 0.1),
        ("- " + PROSE.replace("\n", "\n- ").removesuffix("- "), "max_bullet_lines_ratio", 1, 0.9),
        (PROSE.replace("\n", "...\n"), "max_ellipsis_lines_ratio", 1, 0.3),
        (PROSE + "12345 " * 60, "max_non_alpha_words_ratio", pytest.approx(63 / 131), 0.8),
        ("drop every line because nothing here sounds English " * 7, "min_stop_words", 0, 2),
    ],
)
def test_gopher_quality_names_the_rule_its_value_and_its_threshold(text, rule, value, threshold):
    chosen = GopherQuality(max_avg_word_length=8)

    assert failed(chosen, text) == (rule, value, threshold)


def test_gopher_quality_drops_long_documents():
    assert failed(GopherQuality(max_doc_words=60), PROSE) == ("max_doc_words", 63, 60)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "empty"),
        ("one two\n\nthree four\n\nthree four\n\nthree four", "dup_para_frac"),
        (f"a\n\nb\n\nc\n\nd\n\n{PROSE.strip()}\n\n{PROSE.strip()}", "dup_para_char_frac"),
        ("one\ntwo\ntwo\ntwo", "dup_line_frac"),
        ("a\nb\nc\nd\n" + PROSE.splitlines()[0] + "\n" + PROSE.splitlines()[0], "dup_line_char_frac"),
        ("red fox " * 20, "top_2_gram"),
        (" ".join(f"word{n}" for n in range(30)) + " red old fox" * 6, "top_3_gram"),
        (" ".join(f"ab{n}" for n in range(100)) + " and so it goes" * 9, "top_4_gram"),
        (PROSE.replace("\n", " ") + PROSE.replace("\n", "  "), "duplicated_5_n_grams"),
    ],
)
def test_gopher_repetition_names_the_rule(text, rule):
    assert failed(GopherRepetition(), text)[0] == rule


@pytest.mark.parametrize("n", range(5, 11))
def test_each_length_of_repeated_n_grams_has_its_own_limit(n):
    others = {f"duplicated_{k}_n_grams": 1 for k in range(5, 11) if k != n}

    found = failed(GopherRepetition(**others, dup_line_char_frac=1, dup_line_frac=1), PROSE * 2)

    assert found[0] == f"duplicated_{n}_n_grams"
    assert found[1] == pytest.approx(0.4, abs=0.05)


SENTENCES = "One of them ran. Two of them sat. Three of them ate. Four of them slept.\n"


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("Five of them sang.", True),
        ("Five of them sang?", True),
        ('Five of them sang."', True),
        ("Five of them sang", False),
        ("Five of them sang...", False),
        ("They sang.", False),
        ("  Five of them sang.  ", True),
        ("Five of them sang.[12]", True),
        ("Five of them sang.[edit][citation needed]", True),
        ("Five of them sang. [12]", False),
        ("Five of them use Javascript.", False),
        ("Read our Privacy Policy now.", False),
        ("This site uses cookies daily.", False),
        ("Five cookies were eaten.", True),
        ("Five of them said " + "a" * 1001 + ".", False),
        ("他们五个人唱歌。", True),
        ("他们五个人唱歌（新华社）", False),
        ("他们五个人唱歌。（新华社）", True),
        ("वे पाँच गा रहे थे।", True),
    ],
)
def test_c4_counts_sentences_of_lines_that_it_keeps(line, counts):
    found = failed(C4(), SENTENCES + line)

    assert found == (None if counts else ("min_num_sentences", 4, 5))


def test_c4_takes_citations_out_before_it_counts_sentences():
    assert failed(C4(min_num_sentences=6), SENTENCES + "They sang.[1] And they danced too.[2]") is None


def test_c4_drops_placeholders_and_code():
    lorem, code = "This is Lorem Ipsum text.\n", "if (x) { return the.answer; } and more.\n"

    assert failed(C4(), PROSE + lorem)[0] == "filter_lorem_ipsum"
    assert failed(C4(), PROSE + code)[0] == "filter_curly_bracket"
    assert failed(C4(), PROSE + "Not a sentence: {") is None
    assert failed(C4(filter_lorem_ipsum=False, filter_curly_bracket=False), PROSE + lorem + code) is None


@pytest.mark.parametrize(
    ("text", "rule", "value", "threshold"),
    [
        (" \n", "empty", 0, 1),
        (PROSE.replace(".\n", "\n").replace("!\n", "\n"), "line_punct_thr", 0, 0.12),
        (PROSE + "A short line.\n" * 7, "short_line_thr", 0.7, 0.67),
        (PROSE + PROSE.splitlines()[0], "char_duplicates_ratio", pytest.approx(111 / 424, abs=0.01), 0.01),
        (PROSE + "\n" * 40, "new_line_ratio", pytest.approx(43 / 71), 0.3),
    ],
)
def test_fineweb_names_the_rule_its_value_and_its_threshold(text, rule, value, threshold):
    assert failed(FineWeb(), text) == (rule, value, threshold)


def test_fineweb_may_spare_documents_without_any_line_that_ends_well():
    text = PROSE.replace(".\n", "\n").replace("!\n", "\n")

    assert failed(FineWeb(line_punct_exclude_zero=True), text) is None


def test_repetition_in_chinese_is_judged_by_characters_in_the_length_of_words():
    names = "全国人民代表大会常务委员会"
    some = "".join(f"{names}{chr(0x4E00 + 37 * n)}{chr(0x5E00 + 41 * n)}。" for n in range(9))

    assert failed(GopherRepetition(), CHINESE + f"{names}在北京举行会议。") is None
    assert failed(GopherRepetition(), some) is not None


@pytest.mark.parametrize(
    ("chosen", "values"),
    [
        (GopherQuality, {"min_doc_words": 5, "max_doc_words": 4}),
        (GopherQuality, {"min_avg_word_length": 5, "max_avg_word_length": 4}),
        (GopherRepetition, {"top_2_gram": 1.5}),
        (C4, {"min_num_sentences": -1}),
        (FineWeb, {"line_punct": 0.1}),
    ],
)
def test_limits_that_make_no_sense_are_refused(chosen, values):
    with pytest.raises(ValidationError):
        validate(chosen, values)
