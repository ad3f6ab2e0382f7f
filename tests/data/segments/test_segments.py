import json

import numpy as np
import pytest
from bmtool.data.segments.bpe import GPT4, ByteLevelSegments
from bmtool.data.segments.encoder import SegmentEncoder
from bmtool.data.segments.families import recognise
from bmtool.data.segments.literals import Literals
from bmtool.data.segments.memo import MARGIN, SegmentMemo
from bmtool.data.segments.trie import build_trie, longest
from bmtool.tokenizers.bpe import Bpe
from bmtool.tokenizers.wordpiece import Wordpiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

TEXTS = ["The quick brown fox's café, über 餐厅 12 x==1  \n ends."] * 3


def buffers(texts):
    data = [text.encode() for text in texts]
    return np.frombuffer(b"".join(data), np.uint8), np.cumsum([0, *map(len, data)])


def segments_of(tokenizer, texts):
    """The segments of each text, as a SegmentEncoder cuts them."""
    family, _ = recognise(tokenizer, np.uint16)
    encoder = SegmentEncoder(family, np.uint16)
    data, offsets = buffers(texts)
    padded = np.concatenate([data, np.zeros(MARGIN, np.uint8)])
    found, document, place = [[]], 0, 0
    while document < len(texts):
        document, place, num = encoder._split(padded, offsets, np.zeros(len(texts), np.uint8), document, place)
        for start, length in zip(encoder._starts[:num].tolist(), encoder._lengths[:num].tolist(), strict=True):
            if length:
                found[-1].append(data[start : start + length].tobytes().decode())
            else:
                found.append([])
    return found[:-1]


class Memo:
    """A memo whose segments have made-up ids: their bytes."""

    def __init__(self, *, fold=False, dtype=np.uint16):
        self.memo = SegmentMemo(dtype, fold=fold)
        self.out = np.empty(8, dtype)
        self.asked = []

    def ids(self, segments):
        data = np.frombuffer(b"".join(segments) + bytes(MARGIN), np.uint8)
        lengths = np.array([*map(len, segments), 0], np.int32)
        starts = np.array([0, *np.cumsum(lengths[:-1])], np.int32)
        found, missing = np.empty(len(lengths), np.int32), np.empty((len(lengths), 3), np.int64)
        is_full = True
        while is_full:
            is_full, num = self.memo.find(data, (starts, lengths, len(lengths)), found, missing)
            new = [data[at : at + size].tobytes() for at, size, _ in missing[:num].tolist()]
            self.asked += new
            flat = np.frombuffer(b"".join(new), np.uint8).astype(self.out.dtype)
            self.memo.store(missing[:num, 2].copy(), np.array([*map(len, new)], np.int64), flat)
            if is_full:
                self.memo.make_room(1, int(lengths.max()))
        ends = np.zeros(1, np.int64)
        done = written = document = 0
        while True:
            done, written, document = self.memo.write(found, done, self.out, written, ends, document)
            if done == len(found):
                assert (document, ends[0]) == (1, written)
                return self.out[:written].tolist()
            self.out = np.concatenate([self.out, np.empty_like(self.out)])


@settings(max_examples=80, deadline=None)
@given(
    batches=st.lists(st.lists(st.binary(min_size=1, max_size=40), max_size=20), max_size=4),
    dtype=st.sampled_from([np.uint16, np.uint32]),
)
def test_a_memo_gives_what_was_stored_and_asks_once(batches, dtype):
    memo = Memo(dtype=dtype)

    for segments in batches:
        assert memo.ids(segments) == list(b"".join(segments))

    assert len(memo.asked) == len(set(memo.asked)) == len(memo.memo)


@pytest.mark.parametrize("size", [*range(1, 20), 31, 32, 33, 64, 1000])
def test_segments_that_differ_in_one_byte_or_in_length_are_told_apart(size):
    memo = Memo()
    segment = bytes(1 + n % 250 for n in range(size))
    others = [segment[:n] + b"\0" + segment[n + 1 :] for n in range(size)] + [segment + b"\0", segment + segment]

    for one in [segment, *others, segment, *others]:
        assert memo.ids([one]) == list(one)


def test_segments_with_the_same_hash_are_told_apart():
    memo = Memo()
    memo.memo._seeds[:] = 0  # with these, every hash is 0

    segments = [bytes([65 + n]) * 20 for n in range(20)] + [bytes([65 + n]) for n in range(20)]

    assert memo.ids(segments + segments) == list(b"".join(segments + segments))
    assert len(memo.memo) == 40


@pytest.mark.parametrize("word", [b"Word", b"AZaz@[`{", b"A_Rather-Long Segment!Z"])
def test_a_folding_memo_takes_ascii_letters_only_for_the_same(word):
    memo = Memo(fold=True)

    memo.ids([word])
    assert memo.ids([word.lower()]) == list(word)
    assert len(memo.memo) == 1
    memo.ids([word.replace(b"[", b"{").replace(b"-", b"\r").replace(b"W", b"\xd7")])
    assert len(memo.memo) == (1 if word == b"AZaz@[`{" and b"[" not in word else 2)


def test_a_memo_grows_and_keeps_what_it_has():
    memo = Memo()
    segments = [f"{n}:{'x' * (n % 30)}".encode() for n in range(50_000)]

    for start in range(0, len(segments), 1000):
        memo.ids(segments[start : start + 1000])

    asked = len(memo.asked)
    assert memo.ids(segments[:2000]) == list(b"".join(segments[:2000]))
    assert (asked, len(memo.asked)) == (50_000, 50_000)


def test_bert_cuts_at_white_space_and_around_punctuation_and_han():
    tokenizer = Wordpiece(vocab_size=100).train(TEXTS)

    found = segments_of(tokenizer, ["It's café,餐厅\u3000a\u00a0b\u2014c d", "", " ", "x"])

    assert found == [["It", "'", "s", "café", ",", "餐", "厅", "a", "b", "\u2014", "c", "d"], [], [], ["x"]]


@settings(max_examples=100, deadline=None)
@given(text=st.one_of(st.text(), st.text("a'stmdrvel1 .\n\u00e9\u4e2d\u00a0")))
def test_gpt2_cuts_as_the_regular_expression_of_tokenizers(text):
    tokenizer = BPE

    found = segments_of(tokenizer, [text])[0]

    places = [place for _, place in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
    assert found == [text[start:end] for start, end in places]


BPE = Bpe(vocab_size=300).train(TEXTS)
GPT4_KINDS = {}
for pattern, digits in GPT4.items():
    GPT4_KINDS[digits] = Tokenizer.from_str(BPE.to_str())
    GPT4_KINDS[digits].pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )


@settings(max_examples=200, deadline=None)
@given(
    text=st.one_of(st.text(), st.text("a'sTmDrVel12 .!\r\n\t\u00e9\u4e2d\u00a0")), digits=st.sampled_from([*GPT4_KINDS])
)
def test_gpt4_cuts_as_the_regular_expression_of_tokenizers(text, digits):
    tokenizer = GPT4_KINDS[digits]

    found = segments_of(tokenizer, [text])[0]

    places = [place for _, place in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
    assert found == [text[start:end] for start, end in places]


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("first", [0x0, 0x300, 0x2000, 0x4E00, 0xAC00, 0xD800, 0xFF00])
def test_characters_that_are_judged_together_are_judged_as_each_by_itself(first, lowercase):
    trained = Wordpiece(vocab_size=100, lowercase=lowercase).train(TEXTS)
    family, _ = recognise(trained, np.uint16)
    block = [chr(one) for one in range(first, first + 256) if not 0xD800 <= one < 0xE000]

    together = family._judge(block)

    assert together == [family._judge([one])[0] for one in block]
    family.probe(first)
    assert family.classes[first : first + 256].tolist() == ([kind for kind, _ in together] or [255] * 256)


def test_many_segments_are_cut_in_several_goes(monkeypatch):
    from bmtool.data.segments import encoder as module

    texts = ["one two  three, four " * 50, "", "five"] * 3
    whole = SegmentEncoder(ByteLevelSegments(BPE, json.loads(BPE.to_str()), np.uint16), np.uint16)
    right = whole.encode(*buffers(texts), np.zeros(9, np.uint8))
    for at_once in (4, 5, 7, 1000):
        monkeypatch.setattr(module, "SEGMENTS_AT_ONCE", at_once)
        encoder = SegmentEncoder(whole.family, np.uint16)

        ids, offsets = encoder.encode(*buffers(texts), np.zeros(9, np.uint8))

        assert np.array_equal(ids, right[0])
        assert np.array_equal(offsets, right[1])


def test_skipped_texts_get_no_ids():
    encoder = SegmentEncoder(ByteLevelSegments(BPE, json.loads(BPE.to_str()), np.uint16), np.uint16)

    _, offsets = encoder.encode(*buffers(["a", "b c", "d"]), np.array([0, 1, 0], np.uint8))

    assert offsets.tolist() == [0, 1, 1, 2]


def test_an_interrupted_memo_forgets_what_it_doesnt_know(monkeypatch):
    encoder = SegmentEncoder(ByteLevelSegments(BPE, json.loads(BPE.to_str()), np.uint16), np.uint16)
    with monkeypatch.context() as patch:
        patch.setattr(encoder.family, "tokenize", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            encoder.encode(*buffers(["a b"]), np.zeros(1, np.uint8))

    ids, _ = encoder.encode(*buffers(["a b"]), np.zeros(1, np.uint8))

    assert ids.tolist() == BPE.encode("a b").ids


def test_literals_are_found_whole_and_only_inside_a_text():
    literals = Literals([b"[MASK]", b"<s>", b"\x00"])

    found = literals.found(*buffers(["a[MASK]b", "[MAS", "K] <s", "> [mask]", "<s>", "a\0", ""]))

    assert found.tolist() == [1, 0, 0, 0, 1, 1, 0]


@settings(max_examples=50, deadline=None)
@given(tokens=st.sets(st.binary(min_size=1, max_size=4), max_size=30), data=st.binary(max_size=12))
def test_the_longest_token_of_a_trie_is_found(tokens, data):
    ordered = sorted(tokens)
    trie = build_trie(ordered, range(len(ordered)), [1] * len(ordered), 2)

    one, end = longest(np.frombuffer(data + b"\0", np.uint8), 0, len(data), 1, trie.keys, trie.children, trie.accepts)

    right = max((token for token in ordered if data.startswith(token)), key=len, default=b"")
    assert data[:end] == right
    assert one == (ordered.index(right) if right else -1)


@pytest.mark.parametrize(
    ("tokenizer", "reason"),
    [
        (Tokenizer(models.WordLevel({"a": 0}, "a")), "the model WordLevel isn't known"),
        (Tokenizer(models.WordPiece({"[UNK]": 0})), "WordPiece behind None and None isn't known"),
        (Tokenizer(models.BPE()), "BPE behind the pre-tokenizer None isn't known"),
        (Tokenizer(models.Unigram([("a", 0.0)], 0)), "Unigram behind [] isn't known"),
    ],
)
def test_a_tokenizer_that_is_not_recognised_has_a_reason(tokenizer, reason):
    assert recognise(tokenizer, np.uint16) == (None, reason)
