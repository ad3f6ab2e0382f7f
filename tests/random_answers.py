"""Random outputs of models, of each kind that metrics judge, and the labels that go with them."""

import numpy as np

LABELS = ("a", "b", "c", "never")
BIO = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")

#: Sentences with punctuation, numbers, accents and repeated words; Chinese; Japanese.
SENTENCES = (
    "The cat sat on the mat, and the cat slept.",
    "A quick brown fox jumps over 13 lazy dogs!",
    "It's the year 2,024; prices rose by 3.5 % (or more).",
    "No.",
    "the the the the",
    "An old man and the sea: a novel.",
)
CHINESE = (
    "我今天去了北京大学。",
    "这部电影非常好看,演员也很棒!",
    "天气真冷。",
    "他昨天没有来。",
    "iPhone 15 的价格是 5999 元。",
)
JAPANESE = (
    "今日は東京に行きました。",
    "この映画はとても面白かったです。",
    "カメラを買いたい。",
    "彼は昨日来なかった。",
)


def one_label(num_rows=200, seed=0):
    """The label `never` occurs nowhere, `c` is never predicted; some probabilities are equal."""
    rng = np.random.default_rng(seed)
    logits = np.round(rng.normal(size=(num_rows, 4)), 1).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    references = rng.integers(0, 3, size=num_rows)
    return {
        "references": references,
        "predictions": logits[:, :2].argmax(axis=1),
        "probabilities": probabilities,
        "nll": -np.log(probabilities[np.arange(num_rows), references]),
        "targets": np.ones(num_rows, dtype=np.int64),
        "hits": rng.integers(0, 2, size=num_rows),
        "bytes": rng.integers(1, 50, size=num_rows),
        "pairs": np.ones(num_rows, dtype=np.int64),
        "pair_hits": rng.integers(0, 2, size=num_rows),
    }


def two_labels(num_rows=200, seed=0):
    """Probabilities in steps of a twentieth, so that many are equal."""
    rng = np.random.default_rng(seed)
    references = rng.integers(0, 2, size=num_rows)
    second = np.round(np.clip(0.3 * references + rng.random(num_rows), 0, 1) * 20) / 20
    probabilities = np.stack([1 - second, second], axis=1)
    return {"references": references, "predictions": probabilities.argmax(axis=1), "probabilities": probabilities}


def label_sets(num_rows=200, seed=0):
    """Of four labels each row has none, one or several; the last one occurs nowhere."""
    rng = np.random.default_rng(seed)
    references = rng.random((num_rows, 4)) < [0.5, 0.3, 0.1, 0]
    probabilities = np.round(np.clip(0.3 * references + 0.7 * rng.random((num_rows, 4)), 0, 1), 2)
    return {"references": references, "predictions": probabilities > [0.5, 0.5, 0.5, 2], "probabilities": probabilities}


def tags(num_rows=60, seed=0):
    """Among them broken spans (I- after O, I-LOC after B-PER) and rows without a word."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 9, size=num_rows)
    references = [rng.integers(0, len(BIO), size=n) for n in lengths]
    predictions = [np.where(rng.random(len(r)) < 0.7, r, rng.integers(0, len(BIO), size=len(r))) for r in references]
    return {"references": references, "predictions": predictions}


def numbers(num_rows=200, seed=0):
    """Whole grades from 0 to 6, and predictions near them in steps of a half, so that many are equal."""
    rng = np.random.default_rng(seed)
    references = rng.integers(0, 7, size=num_rows).astype(np.float64)
    return {"references": references, "predictions": np.round(2 * (references + rng.normal(size=num_rows))) / 2}


def texts(num_rows=40, seed=0, sentences=SENTENCES):
    """One to three right texts a row, and a prediction made of pieces of them; some are empty."""
    rng = np.random.default_rng(seed)
    references = [[str(text) for text in rng.choice(sentences, size=rng.integers(1, 4))] for _ in range(num_rows)]
    pieces = [(right[0], str(rng.choice(sentences))) for right in references]
    cuts = rng.random((num_rows, 2))
    predictions = [
        first[: int(cut * len(first))] + " " * int(cut > 0.5) + second[int(other * len(second)) :]
        for (first, second), (cut, other) in zip(pieces, cuts, strict=True)
    ]
    predictions[0] = ""
    return {"references": references, "predictions": predictions}


def rankings(num_rows=60, seed=0):
    """Ranks among 30 candidates; some queries have nothing relevant."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 5, size=num_rows)
    return {"ranks": [np.sort(rng.choice(np.arange(1, 31), size=size, replace=False)) for size in sizes]}


#: By a name: outputs, and the labels that go with them.
OUTPUTS = {
    "label": (one_label(), LABELS),
    "tags": (tags(), BIO),
    "labels": (label_sets(), LABELS),
    "number": (numbers(), ()),
    "target": (texts(), ()),
    "rankings": (rankings(), ()),
}
