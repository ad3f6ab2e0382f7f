import json
import re
import sys

import numpy as np
import pyarrow as pa
import pytest
from bmtool.data.segments.bpe import GPT4
from bmtool.data.tokenizing import encode as module
from bmtool.data.tokenizing.encode import Encoder, encode
from bmtool.data.tokenizing.tokenizers import WORDPIECE_SPECIALS
from bmtool.tokenizers.bpe import Bpe
from bmtool.tokenizers.unigram import Unigram
from bmtool.tokenizers.wordpiece import Wordpiece
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

TEXTS = [f"number {n} of the quick brown foxes 餐厅" for n in range(100)]

#: What a vocabulary is learned from here: several scripts, so that pieces of many kinds come out.
LEARNED = [
    f"Don't they've {n} naïve cafés, über-long? Привет мир! ラーメンを食べる 餐厅很好吃 שלום नमस्ते 한국어 {n * 7}\n\n  x"
    for n in range(60)
]


def gpt4(digits):
    """A pre-tokenizer such as that of Llama 3 and Qwen."""
    pattern = next(pattern for pattern, number in GPT4.items() if number == digits)
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {"type": "Sequence", "pretokenizers": [split, level]}


GPT4S = {
    "bpe like Llama 3": {"pre_tokenizer": gpt4(3), "model": {"ignore_merges": True}},
    "bpe like Qwen": {"pre_tokenizer": gpt4(1), "normalizer": {"type": "NFC"}},
}
ONE_SPACE = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
UNIGRAMS = {
    "unigram": {},
    "unigram as it is": {"normalizer": {"type": "NFKC"}},
    "unigram with bytes": {},
    "unigram with some bytes": {},
    "unigram like mT5": {
        "normalizer": {
            "normalizers": [
                {"type": "Nmt"},
                {"type": "NFKC"},
                {"type": "Strip", "strip_left": False, "strip_right": True},
                {**ONE_SPACE, "content": "\u2581"},
            ]
        }
    },
    "unigram like ALBERT": {
        "normalizer": {
            "normalizers": [{"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, ONE_SPACE],
        }
    },
    "unigram like T5": {
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True},
            ],
        }
    },
    "unigram without a first space": {
        "normalizer": {"normalizers": [{"type": "Nmt"}, {"type": "NFKC"}]},
        "pre_tokenizer": {"prepend_scheme": "never"},
    },
}


def trained(kind):
    if kind == "wordpiece":
        return Wordpiece(vocab_size=400).train(LEARNED)
    if kind == "cased":
        return Wordpiece(vocab_size=400, lowercase=False).train(LEARNED)
    if kind == "accents kept":
        return changed(trained("wordpiece"), normalizer={"strip_accents": False})
    if kind == "accents off, cased":
        return changed(trained("cased"), normalizer={"strip_accents": True})
    if kind == "no cleaning, no Han":
        return changed(trained("wordpiece"), normalizer={"clean_text": False, "handle_chinese_chars": False})
    if kind.startswith("unigram"):
        unigram = Unigram(vocab_size=500, byte_fallback="bytes" in kind).train(LEARNED)
        if kind == "unigram with some bytes":
            return lacking(unigram, "<0xE2>")
        return changed(unigram, **UNIGRAMS[kind])
    bpe = Bpe(vocab_size=500).train(LEARNED)
    if kind in GPT4S:
        return changed(bpe, **GPT4S[kind])
    if kind == "bpe of composed letters":
        return changed(bpe, normalizer={"type": "NFC"})
    if kind == "bpe behind a space":
        return changed(bpe, pre_tokenizer={"add_prefix_space": True})
    if kind == "bpe of whole words":
        return changed(bpe, model={"ignore_merges": True})
    return bpe


def lacking(tokenizer, piece):
    """The tokenizer with another piece in the place of one."""
    plain = json.loads(tokenizer.to_str())
    plain["model"]["vocab"] = [[one if one != piece else "zqzq", score] for one, score in plain["model"]["vocab"]]
    return Tokenizer.from_str(json.dumps(plain))


def changed(tokenizer, **parts):
    plain = json.loads(tokenizer.to_str())
    for part, values in parts.items():
        plain[part] = {**(plain[part] or {}), **values}
    return Tokenizer.from_str(json.dumps(plain))


KINDS = [
    "wordpiece",
    "cased",
    "accents kept",
    "accents off, cased",
    "no cleaning, no Han",
    "bpe",
    "bpe behind a space",
    "bpe of whole words",
    "bpe of composed letters",
    *GPT4S,
    *UNIGRAMS,
]


@pytest.fixture(scope="module", params=KINDS)
def memo(request):
    """A tokenizer that is done by a memo, and one encoder for all examples."""
    tokenizer = trained(request.param)
    encoder = Encoder(tokenizer, by_fastokens=False)
    assert encoder.method.startswith("memo of")
    return tokenizer, encoder


ODD = st.sampled_from(
    [
        *"\0\t\n\r\x0b\x1c\x7f\x85\xa0\xad'_[]\u0300\u0308\u0323\u0345\u0600\u0e33\u1100\u1161\u11a8\u180e\u200b\u200d",
        *"\u2028\u202e\u2260\u226e\u3000\u302e\ufb01\ufdfa\ufe0f\ufeff\ufffd\uff01\uff21\u0130\u00df\u1e9e\u03a3\u03c2",
        *"\u01c5\u0149\u2167\u00b2\u00bd\u0663\u4e2d\u9f8d\uf900\uac01\u00e9\U00020000\U0001d538\U0001f600\U0001d15f",
        *"\u2581\U000e0001\U0010ffff",
        *(
            "e\u0301",
            "\U0001f469\u200d\U0001f469\u200d\U0001f467",
            "'s",
            "'LL",
            "'\u017f",
            "'Re",
            "\r\n",
            "'ve",
            "##",
            "##a",
            "<|",
            "|>",
        ),
    ]
)
WORDS = st.sampled_from(
    ["the", "don't", "CAFÉS", "Привет", "餐厅", "ラーメン", "한국어", "x==1", "a" * 99, "b" * 101, "ab" * 200]
)
SPACES = st.sampled_from([" ", "  ", "\n", " \n", "\t", "\n\n  ", "\u3000", "\xa0", ""])
SPECIALS = st.sampled_from(
    [*WORDPIECE_SPECIALS.values(), "[mask]", "<|endoftext|>", "<|pad|>", "<|PAD|>", "<s>", "<mask>"]
)
ANY = st.one_of(WORDS, SPACES, ODD, st.text(max_size=8), SPECIALS)
MILD = st.one_of(WORDS, SPACES, st.text("abcxyz ABC'-,09\n\u00e9\u0434\u4e2d\u3042", max_size=8))
TEXT = st.one_of(st.lists(some, max_size=30).map("".join) for some in (ANY, MILD))
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_as_tokenizers(texts, ids, offsets, tokenizer):
    right = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    assert len(offsets) == len(texts) + 1
    for row, text in enumerate(texts):
        assert ids[offsets[row] : offsets[row + 1]].tolist() == right[row].ids, ascii(text)


@MANY
@given(texts=st.lists(TEXT, max_size=6))
def test_the_memo_gives_the_ids_of_tokenizers_for_any_text(memo, texts):
    tokenizer, encoder = memo

    ids, offsets = encoder.encode(pa.array(texts, pa.string()))

    assert encoder.notes == []
    assert_as_tokenizers(texts, ids, offsets, tokenizer)


@pytest.fixture(scope="module", params=["bpe", "bpe behind a space", "bpe of whole words", *GPT4S])
def fast(request):
    """A tokenizer that is done by fastokens, and one encoder for all examples."""
    pytest.importorskip("fastokens")
    tokenizer = trained(request.param)
    encoder = Encoder(tokenizer)
    assert encoder.method.startswith("fastokens ")
    return tokenizer, encoder


@MANY
@given(texts=st.lists(TEXT, max_size=6))
def test_fastokens_gives_the_ids_of_tokenizers_for_any_text(fast, texts):
    tokenizer, encoder = fast

    ids, offsets = encoder.encode(pa.array(texts, pa.string()))

    assert encoder.notes == []
    assert_as_tokenizers(texts, ids, offsets, tokenizer)


def test_fastokens_is_checked_and_switched_off_at_the_first_other_id(fast):
    tokenizer, _ = fast
    encoder = Encoder(tokenizer)
    encoder.encode(pa.array(LEARNED))
    encoder._segments = Encoder(Bpe(vocab_size=300).train(["another text"]))._segments

    ids, offsets = encoder.encode(pa.array(LEARNED[:5]))

    assert_as_tokenizers(LEARNED[:5], ids, offsets, tokenizer)
    assert re.fullmatch(r"tokenizers, text by text: fastokens [0-9.]+ failed its check", encoder.method)
    assert (encoder.num_unsure, encoder.num_checked) == (60, 60)


def test_what_fastokens_does_not_know_is_done_by_the_memo(fast):
    tokenizer = changed(trained("bpe"), normalizer={"type": "NFKC"})

    encoder = Encoder(tokenizer)

    assert encoder.method == "memo of byte-level BPE segments"
    assert encoder.notes == ["fastokens isn't used: normalizer error: unsupported normalizer type: NFKC"]
    assert_as_tokenizers(LEARNED, *encoder.encode(pa.array(LEARNED)), tokenizer)


def test_without_fastokens_the_memo_does_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastokens", None)

    encoder = Encoder(trained("bpe"))

    assert (encoder.method, encoder.notes) == ("memo of byte-level BPE segments", [])


@settings(MANY, max_examples=10)
@given(texts=st.lists(TEXT, min_size=1, max_size=8), cut=st.integers(0, 8))
def test_neither_batches_nor_what_came_before_change_an_id(memo, texts, cut):
    tokenizer, _ = memo
    encoder = Encoder(tokenizer, max_segments=3, by_fastokens=False)

    pieces = [encoder.encode(pa.array(part, pa.string())) for part in (texts[:cut], texts[cut:], texts)]

    whole = pieces[2]
    assert np.array_equal(np.concatenate([pieces[0][0], pieces[1][0]]), whole[0])
    assert_as_tokenizers(texts, *whole, tokenizer)


def test_every_code_point_is_encoded_as_tokenizers_does(memo):
    tokenizer, encoder = memo
    codes = [code for code in range(0x500) if not 0xD800 <= code < 0xE000]
    codes += [code for code in range(0x500, 0x30000, 61) if not 0xD800 <= code < 0xE000]
    texts = [f"a{chr(code)}b {chr(code)}" for code in codes]

    ids, offsets = encoder.encode(pa.array(texts))

    assert_as_tokenizers(texts, ids, offsets, tokenizer)


def test_a_memo_that_is_full_starts_again(memo):
    tokenizer, _ = memo
    encoder = Encoder(tokenizer, max_segments=100, by_fastokens=False)
    texts = [f"w{chr(97 + n % 26)}{chr(97 + n // 26)} {n * 7919}" for n in range(600)]

    for _ in range(2):
        for start in range(0, 600, 100):
            some = texts[start : start + 100]
            assert_as_tokenizers(some, *encoder.encode(pa.array(some)), tokenizer)

    assert encoder.num_cleared > 5


def test_large_vocabularies_are_done_by_the_memo_too():
    tokenizer = trained("bpe")
    tokenizer.add_tokens([f"added{n}" for n in range(66_000)])
    encoder = Encoder(tokenizer)
    texts = [*LEARNED, "a long_word_of_many_pieces" * 3, "added65999", "x added7"]

    ids, offsets = encoder.encode(pa.array(texts))

    assert ids.dtype == np.uint32
    assert int(ids.max()) > 65_536
    assert_as_tokenizers(texts, ids, offsets, tokenizer)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"normalizer": {"type": "Lowercase"}}, "the normalizer Lowercase"),
        ({"model": {"dropout": 0.1}}, "BPE with dropout"),
        ({"pre_tokenizer": {"type": "ByteLevel", "use_regex": False}}, "the pre-tokenizer ByteLevel"),
    ],
)
def test_what_is_not_known_goes_through_tokenizers(parts, reason):
    plain = json.loads(trained("bpe").to_str())
    for part, values in parts.items():
        plain[part] = {**(plain[part] or {}), **values}
    tokenizer = Tokenizer.from_str(json.dumps(plain))
    encoder = Encoder(tokenizer)

    ids, offsets = encoder.encode(pa.array(LEARNED))

    assert encoder.method.startswith("tokenizers, text by text: ")
    assert reason in encoder.method
    if "dropout" not in reason:
        assert_as_tokenizers(LEARNED, ids, offsets, tokenizer)


def test_a_memo_that_gives_another_id_is_switched_off_and_says_so():
    tokenizer = trained("wordpiece")
    encoder = Encoder(tokenizer)
    encoder.encode(pa.array(LEARNED))
    spoilt = encoder._segments
    spoilt.family._unknown = tokenizer.token_to_id("[CLS]")

    ids, offsets = encoder.encode(pa.array(["one", "two", "Ω unknown ☃"]))

    assert_as_tokenizers(["one", "two", "Ω unknown ☃"], ids, offsets, tokenizer)
    assert encoder.method == "tokenizers, text by text: memo of WordPiece segments failed its check"
    assert encoder.num_unsure == 60
    assert len(encoder.notes) == 1
    assert "from memo of WordPiece segments than from `tokenizers`, so it is off from here on; 60 " in encoder.notes[0]


def test_a_long_text_is_checked_by_its_start(monkeypatch):
    monkeypatch.setattr(module, "MAX_CHECKED_BYTES", 64)
    encoder = Encoder(trained("wordpiece"))
    encoder._segments.family._unknown = 0

    encoder.encode(pa.array(["Ω ☃ " * 50]))

    assert encoder.num_unsure == 0
    assert len(encoder.notes) == 1


def test_one_call_with_much_text_uses_the_memo(monkeypatch):
    monkeypatch.setattr(module, "MEMO_FROM_BYTES", 1)
    tokenizer = trained("bpe")

    ids, offsets = encode(pa.chunked_array([LEARNED[:9], LEARNED[9:]]), tokenizer)

    assert_as_tokenizers(LEARNED, ids, offsets, tokenizer)


def test_a_text_of_more_than_a_batch_goes_through_tokenizers(monkeypatch):
    monkeypatch.setattr(module, "BYTES_AT_ONCE", 300)
    tokenizer = trained("bpe")
    texts = ["short", "long " * 100, "a", "[MASK] <|endoftext|>", "b" * 299]

    ids, offsets = Encoder(tokenizer).encode(pa.array(texts))

    assert_as_tokenizers(texts, ids, offsets, tokenizer)


def test_texts_are_neither_cut_nor_padded():
    tokenizer = trained("wordpiece")
    plain = tokenizer.encode_batch_fast(LEARNED, add_special_tokens=False)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9)

    for ids, offsets in (encode(pa.array(LEARNED), tokenizer), Encoder(tokenizer).encode(pa.array(LEARNED))):
        assert [ids[offsets[row] : offsets[row + 1]].tolist() for row in range(len(LEARNED))] == [
            one.ids for one in plain
        ]


def test_a_missing_text_is_an_error():
    with pytest.raises(ValueError, match="null"):
        Encoder(trained("bpe")).encode(pa.array(["a", None]))


class TestFiles:
    def test_a_memo_is_kept_and_taken_up(self, memo, tmp_path):
        tokenizer, encoder = memo
        texts = [*LEARNED, "a_segment_of_more_than_fifteen_bytes 😀"]
        ids, offsets = encoder.encode(pa.array(texts))
        encoder.save(tmp_path / "new" / "memo.arrow")

        warm = Encoder.load(tmp_path / "new" / "memo.arrow", tokenizer, by_fastokens=False)

        assert (warm.notes, warm.num_segments) == ([], encoder.num_segments)
        again, places = warm.encode(pa.array(texts))
        assert warm.num_segments == encoder.num_segments
        assert np.array_equal(ids, again)
        assert np.array_equal(offsets, places)
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["memo.arrow"]

    def test_a_missing_file_is_a_cold_start(self, tmp_path):
        assert Encoder.load(tmp_path / "none", trained("bpe")).notes == []

    def test_the_memo_of_another_tokenizer_is_left_alone(self, tmp_path):
        encoder = Encoder(trained("wordpiece"))
        encoder.encode(pa.array(LEARNED))
        encoder.save(tmp_path / "memo")

        other = Encoder.load(tmp_path / "memo", trained("cased"))

        assert other.num_segments == 0
        assert other.notes == [f"{tmp_path}/memo: this memo isn't used: it belongs to another tokenizer or version"]

    @pytest.mark.parametrize("share", [0.2, 0.3, 0.5, 0.7, 0.99])
    def test_a_damaged_file_is_left_alone(self, tmp_path, share):
        tokenizer = trained("bpe")
        encoder = Encoder(tokenizer, by_fastokens=False)
        encoder.encode(pa.array(LEARNED))
        encoder.save(tmp_path / "memo")
        data = bytearray((tmp_path / "memo").read_bytes())
        for place in range(int(share * len(data)), min(int(share * len(data)) + 64, len(data))):
            data[place] ^= 0x55
        (tmp_path / "memo").write_bytes(data)

        again = Encoder.load(tmp_path / "memo", tokenizer, by_fastokens=False)

        assert again.num_segments == 0
        assert len(again.notes) == 1
        assert_as_tokenizers(LEARNED, *again.encode(pa.array(LEARNED)), tokenizer)

    def test_a_file_with_wrong_ids_and_a_right_checksum_is_left_alone(self, tmp_path):
        tokenizer = trained("wordpiece")
        encoder = Encoder(tokenizer)
        encoder._segments.family._unknown = 0
        encoder._segments.encode(
            np.frombuffer(b"unbekannt\xe2\x98\x83", np.uint8), np.array([0, 12]), np.zeros(1, np.uint8)
        )
        encoder.save(tmp_path / "memo")

        again = Encoder.load(tmp_path / "memo", tokenizer)

        assert again.num_segments == 0
        assert again.notes[0].endswith("`tokenizers` gives other ids for some of its segments")
