"""Metrics of written texts equal sacreBLEU, rouge-score and torchmetrics, and know scripts without spaces."""

import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.data.scoring import text_scores
from bmtool.data.scoring.mecab import has_mecab
from bmtool.data.scoring.rouge import longest_common_subsequence
from bmtool.data.scoring.scores import evaluate_metrics, over_all
from bmtool.data.scoring.text_scores import tokenizer_for
from bmtool.errors import DataError
from bmtool.metrics.bleu import Bleu
from bmtool.metrics.chrf import Chrf
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from torchmetrics.functional.text import squad

sys.path.insert(0, str(Path(__file__).parent.parent))
from random_answers import CHINESE, JAPANESE, SENTENCES, texts


def value_of(name, predictions, references):
    return evaluate_metrics([name], {"predictions": predictions, "references": references}, ())[name]


def streams(references):
    """References as sacreBLEU wants them: the first of all rows, then the second of all rows, ...; None for none."""
    width = max(map(len, references))
    return [[right[place] if place < len(right) else None for right in references] for place in range(width)]


# ---------------------------------------------------------------- BLEU and chrF


@pytest.mark.parametrize(("tokenize", "sentences"), [("13a", SENTENCES), ("zh", CHINESE), ("char", JAPANESE)])
@pytest.mark.parametrize("num_rows", [1, 40])
def test_bleu_equals_sacrebleu_and_says_its_signature(tokenize, sentences, num_rows):
    outputs = texts(num_rows + 1, sentences=sentences)
    outputs = {key: values[1:] for key, values in outputs.items()}
    reference = BLEU(tokenize=tokenize)
    expected = reference.corpus_score(outputs["predictions"], streams(outputs["references"])).score
    metric = validate(Bleu, {"tokenize": tokenize})

    value = over_all(metric.values, metric.statistics(outputs, ()))

    assert value == pytest.approx(expected, abs=1e-10)
    assert metric.details(outputs)["signature"] == str(reference.get_signature())


@pytest.mark.skipif(not has_mecab(), reason="the extra `japanese` isn't installed")
def test_bleu_of_japanese_words_equals_sacrebleu():
    outputs = texts(sentences=JAPANESE)
    reference = BLEU(tokenize="ja-mecab")

    value = value_of("bleu", **outputs)

    assert value == pytest.approx(
        reference.corpus_score(outputs["predictions"], streams(outputs["references"])).score, abs=1e-10
    )
    assert Bleu().details(outputs) == {
        "signature": str(reference.get_signature()),
        "tokenize": "ja-mecab: the references are Japanese",
    }


@pytest.mark.parametrize("sentences", [SENTENCES, CHINESE, JAPANESE])
@pytest.mark.parametrize("seed", range(3))
def test_chrf_equals_sacrebleu_and_says_its_signature(sentences, seed):
    outputs = texts(seed=seed, sentences=sentences)
    reference = CHRF()
    expected = reference.corpus_score(outputs["predictions"], streams(outputs["references"])).score

    value = value_of("chrf", **outputs)

    assert value == pytest.approx(expected, abs=1e-10)
    assert Chrf().details(outputs) == {"signature": str(reference.get_signature())}


@given(st.lists(st.tuples(st.text("ab c", max_size=9), st.text("ab c", max_size=9)), min_size=1, max_size=3))
def test_bleu_and_chrf_equal_sacrebleu_on_short_and_empty_texts(pairs):
    predictions, right = map(list, zip(*pairs, strict=True))

    for name, reference in (("bleu", BLEU(tokenize="13a")), ("chrf", CHRF())):
        value = value_of(name, predictions, [[text] for text in right])
        assert value == pytest.approx(reference.corpus_score(predictions, [right]).score, abs=1e-10)


@pytest.mark.parametrize("name", ["bleu", "chrf", "rouge1"])
def test_a_row_without_a_right_text_is_a_data_error(name):
    with pytest.raises(DataError) as error:
        value_of(name, ["a", "b"], [["a"], []])

    assert str(error.value) == "row 1 has no right text to compare with"


SPACES = "most letters of the references are of scripts with spaces between words"
NO_MECAB = "the references are Japanese, and MeCab isn't installed: pip install 'bmtool-pipeline[japanese]'"


@pytest.mark.parametrize(
    ("sentences", "mecab", "name", "reason"),
    [
        (SENTENCES, True, "13a", SPACES),
        (["한국어는 띄어쓰기가 있습니다"], True, "13a", SPACES),
        (CHINESE, True, "zh", "the references are Chinese"),
        (JAPANESE, True, "ja-mecab", "the references are Japanese"),
        (JAPANESE, False, "char", NO_MECAB),
        (["ภาพยนตร์ดีมาก"], True, "char", "most letters of the references are of scripts without spaces between words"),
    ],
)
def test_words_are_cut_as_the_script_asks_for(monkeypatch, sentences, mecab, name, reason):
    monkeypatch.setattr(text_scores, "has_mecab", lambda: mecab)

    assert tokenizer_for(sentences) == (name, reason)


def test_japanese_words_need_mecab(monkeypatch):
    monkeypatch.setattr("bmtool.data.scoring.mecab.has_mecab", lambda: False)

    with pytest.raises(ValidationError) as error:
        validate(Bleu, {"tokenize": "ja-mecab"})

    assert [fault["msg"] for fault in error.value.errors()] == [
        "'ja-mecab' needs MeCab. Install it: pip install 'bmtool-pipeline[japanese]', or choose 'char'"
    ]


# ---------------------------------------------------------------- ROUGE


@pytest.mark.parametrize(("name", "theirs"), [("rouge1", "rouge1"), ("rouge2", "rouge2"), ("rouge_l", "rougeL")])
@pytest.mark.parametrize("seed", range(3))
def test_rouge_equals_rouge_score(name, theirs, seed):
    outputs = texts(seed=seed)
    scorer = RougeScorer([theirs])
    pairs = zip(outputs["references"], outputs["predictions"], strict=True)
    expected = np.mean([scorer.score_multi(right, text)[theirs].fmeasure for right, text in pairs])

    assert value_of(name, **outputs) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "prediction", "reference", "value"),
    [
        ("rouge1", "天气冷", "天气真冷。", 2 * 3 / 7),
        ("rouge2", "天气冷", "天气真冷。", 2 * 1 / 5),
        ("rouge_l", "冷天气", "天气真冷。", 2 * 2 / 7),
        ("rouge1", "café", "cafe", 0.0),
        ("rouge1", "Über uns", "über UNS", 1.0),
        ("rouge1", "!", "!", 0.0),
    ],
)
def test_rouge_counts_words_of_all_scripts(name, prediction, reference, value):
    assert value_of(name, [prediction], [[reference]]) == pytest.approx(value)


@given(st.text("abc", max_size=20), st.text("abc", max_size=20))
def test_the_longest_common_subsequence_is_as_long_as_by_the_table(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1, j + 1] = table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])

    assert longest_common_subsequence(a, b) == table[-1, -1]


# ---------------------------------------------------------------- short answers


def squad_scores(predictions, references):
    """Exact match and F1 of torchmetrics, which are those of SQuAD 1.1.

    SQuAD 2.0 leaves out right answers of nothing but articles, and without any the empty one is right.
    """
    references = [[text for text in right if text != "the the the the"] for right in references]
    told = [{"id": str(row), "prediction_text": text} for row, text in enumerate(predictions)]
    wanted = [
        {"id": str(row), "answers": {"text": right or [""], "answer_start": [0] * max(len(right), 1)}}
        for row, right in enumerate(references)
    ]
    scores = squad(told, wanted)
    return [scores[name].item() / 100 for name in ("exact_match", "f1")]


def test_answers_are_scored_as_in_squad():
    outputs = texts(80)
    outputs["references"][:20] = [[] for _ in range(20)]
    outputs["predictions"][:10] = [""] * 10
    outputs["predictions"][20:30] = [right[0].upper() for right in outputs["references"][20:30]]
    outputs["predictions"][30:34], outputs["references"][30:34] = ["the", "an a", "x", ""], [["The!"]] * 4
    assert "the the the the" in chain(*outputs["references"])
    expected = squad_scores(**outputs)

    values = evaluate_metrics(["exact_match", "f1_answer"], outputs, ())

    assert 0.2 < expected[0] < expected[1] < 0.9
    assert list(values.values()) == pytest.approx(expected, abs=1e-6)  # float32 there


@pytest.mark.parametrize(
    ("prediction", "right", "exact", "f1"),
    [
        ("北京", ["北京大学"], 0, 2 * 2 / 6),
        ("北京。", ["《北京》"], 1, 1),
        ("東京タワー", ["東京", "タワー"], 0, 2 * 3 / 8),
        ("5999 元", ["5999元"], 0, 1),
        ("", [], 1, 1),
        ("北", [], 0, 0),
    ],
)
def test_answers_in_scripts_without_spaces_are_compared_by_character(prediction, right, exact, f1):
    outputs = {"predictions": [prediction], "references": [right]}

    values = evaluate_metrics(["exact_match", "f1_answer"], outputs, ())

    assert values == pytest.approx({"exact_match": exact, "f1_answer": f1})
