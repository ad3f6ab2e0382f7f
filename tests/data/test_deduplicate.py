import numpy as np
import pyarrow as pa
from bmtool.data.deduplicate import SeenTexts, normalised


def test_texts_are_equal_but_for_case_and_white_space():
    texts = ["Hello  World", " hello\tworld\n", "hello\u3000\u00a0world", "HELLO-WORLD", "你好 世界"]
    rows = pa.record_batch({"text": texts})

    assert normalised(rows, ["text"]).to_pylist() == ["hello world"] * 3 + ["hello-world", "你好 世界"]


def test_words_are_joined_and_columns_kept_apart():
    rows = pa.record_batch({"words": [["A", "b"], ["a b"]], "text": ["x", "x"]})

    assert normalised(rows, ["words"]).to_pylist() == ["a b", "a b"]
    assert normalised(rows, ["words", "text"]).to_pylist() == ["a b\x1fx"] * 2


def test_the_first_of_equal_texts_is_kept_within_and_across_batches():
    seen = SeenTexts()

    assert seen.first(pa.array(["a", "b", "a"])).tolist() == [True, True, False]
    assert seen.first(pa.array(["c", "b", "c", "d"])).tolist() == [True, False, False, True]
    assert seen.first(pa.array([], pa.string())).tolist() == []


def test_many_batches_agree_with_a_set():
    rng = np.random.default_rng(0)
    seen, known = SeenTexts(), set()

    for _ in range(200):
        texts = [str(number) for number in rng.integers(0, 5000, 100)]
        expected = []
        for text in texts:
            expected.append(text not in known)
            known.add(text)
        assert seen.first(pa.array(texts)).tolist() == expected

    assert len(seen.runs) < 20
    assert sum(len(run) for run in seen.runs) == len(known)
