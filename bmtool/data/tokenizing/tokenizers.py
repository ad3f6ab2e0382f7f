"""Train tokenizers reproducibly, and save and load them as transformers does."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from bmtool.artifacts.files import fsync_file, fsync_folder, write_json, write_text
from bmtool.data.tokenizing.tokenizer_files import no_tokenizer, tokenizer_files
from bmtool.errors import DataError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from bmtool.contracts import TokenizerTrainer

WORDPIECE_SPECIALS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
BPE_SPECIALS = {
    "bos_token": "<|endoftext|>",
    "eos_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",
    "pad_token": "<|pad|>",
}

#: In the order of their ids; the names are those of XLM-R.
UNIGRAM_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")

#: What a text that spells `<0x41>` out costs as the token of that byte: more than letter by letter (at most 20 each).
BYTE_SCORE = -1000.0

#: What stands for hidden text where a tokenizer has it by a setting, and what T5 calls a text left out, by number.
MASK = "<mask>"
SENTINEL = "<extra_id_{}>"

#: A merge seen once is chance.
MIN_FREQUENCY = 2

#: Characters (and their `##` forms) may take this share of a WordPiece vocabulary; rarer ones are [UNK].
ALPHABET_SHARE = 0.5


def train_wordpiece(texts: Iterable[str], vocab_size: int, *, lowercase: bool) -> Tokenizer:
    """A BERT tokenizer whose vocabulary is a function of the texts alone.

    The trainer of `tokenizers` gives ids to characters in the order of a hash map, and ids decide ties between merges:
    four processes, four vocabularies. Here every character and its `##` form is given up front, in a fixed order, so
    that nothing is left to the map; the vocabulary is then built anew with the real special tokens in front.
    """
    specials = list(WORDPIECE_SPECIALS.values())
    tokenizer = _bert_tokenizer({token: index for index, token in enumerate(specials)}, lowercase)
    alphabet = _wordpiece_alphabet(texts, tokenizer, int((vocab_size - len(specials)) * ALPHABET_SHARE))
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size - len(specials),
        min_frequency=MIN_FREQUENCY,
        special_tokens=alphabet,
        limit_alphabet=0,  # the alphabet is given
        show_progress=False,
    )
    tokenizer.train_from_iterator(_chunks(texts), trainer)
    learned = sorted(tokenizer.get_vocab(with_added_tokens=False).items(), key=lambda item: item[1])
    tokens = specials + [token for token, _ in learned if token not in WORDPIECE_SPECIALS.values()]
    final = _bert_tokenizer({token: index for index, token in enumerate(tokens[:vocab_size])}, lowercase)
    final.add_special_tokens(specials)
    return final


def _bert_tokenizer(vocabulary: dict[str, int], lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def _wordpiece_alphabet(texts: Iterable[str], tokenizer: Tokenizer, limit: int) -> list[str]:
    """The most frequent characters, sorted, then their `##` forms where a word can go on with them; at most `limit`."""
    seen = _count_characters(texts)
    counts: Counter[str] = Counter()
    for character, times in seen.items():
        for part in tokenizer.normalizer.normalize_str(character):
            counts[part] += 0 if part.isspace() else times
    ranked = sorted((character for character in counts if counts[character]), key=lambda one: (-counts[one], one))
    kept, size = list[str](), 0
    for character in ranked:
        size += 2 if _continues(character, tokenizer) else 1
        if size > limit:
            break
        kept.append(character)
    kept.sort()
    return kept + [f"##{character}" for character in kept if _continues(character, tokenizer)]


def _count_characters(texts: Iterable[str]) -> dict[str, int]:
    """How often each character occurs, in the order of their code points."""
    counts = np.zeros(0x110000, np.int64)
    for chunk in _chunks(texts):
        codes = np.frombuffer("".join(chunk).encode("utf-32-le"), np.uint32)
        counts += np.bincount(codes, minlength=len(counts))
    return {chr(code): int(counts[code]) for code in np.flatnonzero(counts).tolist()}


def _continues(character: str, tokenizer: Tokenizer) -> bool:
    """Whether a word can go on with `character`: not with punctuation or a Han character, which stand alone."""
    if unicodedata.category(character).startswith(("P", "Z", "C")):
        return False
    normal = tokenizer.normalizer.normalize_str(f"a{character}")
    return len(tokenizer.pre_tokenizer.pre_tokenize_str(normal)) == 1


def sentinels(count: int) -> list[str]:
    """`<extra_id_0>` and so on."""
    return [SENTINEL.format(number) for number in range(count)]


def train_bpe(texts: Iterable[str], vocab_size: int, *, more: Sequence[str] = ()) -> Tokenizer:
    """A GPT-2 tokenizer (byte-level, no post-processor tokens) whose merges are a function of the texts alone.

    `more` are special tokens besides GPT-2's, and part of the vocabulary.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=MIN_FREQUENCY,
        special_tokens=[*sorted(set(BPE_SPECIALS.values())), *more],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_chunks(texts), trainer)
    return tokenizer


def train_unigram(
    texts: Iterable[str], vocab_size: int, *, byte_fallback: bool = False, more: Sequence[str] = ()
) -> Tokenizer:
    """A SentencePiece-like tokenizer whose pieces are a function of how often each word occurs in the texts.

    Text is normalised as SentencePiece's `nmt_nfkc` does it; a word is cut off at white space, and has its space in
    front, as a visible mark. Characters too rare for a piece of their own are the unknown token, or with
    `byte_fallback` a token for each of their bytes. `more` are further special tokens, and part of the vocabulary.
    """
    from bmtool.data.segments.unigram import BYTE_PIECES
    from bmtool.data.tokenizing.unigram import learn_pieces

    specials = [(token, 0.0) for token in (*UNIGRAM_SPECIALS, *more)]
    if byte_fallback:
        specials += [(piece, BYTE_SCORE) for piece in BYTE_PIECES]
    room = vocab_size - len(specials)
    tokenizer = _unigram_tokenizer(specials)
    pieces = learn_pieces(_unigram_words(texts, tokenizer), room, max_alphabet=int(room * ALPHABET_SHARE))
    taken = {piece for piece, _ in specials}
    learned = [piece for piece in pieces if piece[0] not in taken]
    final = _unigram_tokenizer(specials + learned, byte_fallback=byte_fallback)
    final.add_special_tokens([*UNIGRAM_SPECIALS, *more])
    return final


def _unigram_tokenizer(vocabulary: list[tuple[str, float]], *, byte_fallback: bool = False) -> Tokenizer:
    model = models.Unigram(vocabulary, UNIGRAM_SPECIALS.index("<unk>"), byte_fallback=byte_fallback)
    tokenizer = Tokenizer(model)
    one_space = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), one_space])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    spaces = decoders.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), spaces]) if byte_fallback else spaces
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(token, UNIGRAM_SPECIALS.index(token)) for token in ("<s>", "</s>")],
    )
    return tokenizer


def _unigram_words(texts: Iterable[str], tokenizer: Tokenizer) -> dict[str, int]:
    """How often each normalised word occurs, a mark for its space in front."""
    raw: Counter[str] = Counter()
    for text in texts:
        raw.update(text.split())
    counts: Counter[str] = Counter()
    for word, times in raw.items():
        plain = word.isascii() and word.isprintable()  # then nothing changes
        for part in [word] if plain else tokenizer.normalizer.normalize_str(word).split(" "):
            counts[f"\u2581{part}"] += times if part else 0
    return {word: times for word, times in counts.items() if times}


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(texts)
    while chunk := list(islice(iterator, 1000)):
        yield chunk


def save_tokenizer(folder: Path, tokenizer: Tokenizer, trainer: TokenizerTrainer) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` (last): `AutoTokenizer.from_pretrained(folder)` opens them."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = json.loads(tokenizer.to_str())
    write_text(folder / "tokenizer.json", json.dumps(plain, ensure_ascii=False, indent=2) + "\n")
    specials: dict[str, Any] = trainer.special_tokens()
    write_json(folder / "tokenizer_config.json", {**trainer.transformers_settings(), **specials})


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a checkpoint, a corpus's `tokenizer/`, or any folder with a `tokenizer.json`.

    Truncation and padding are off: what is cut is decided by bmtool, and counted.

    Raises:
        MissingInputError: there is no `tokenizer.json`.
        DataError: it can't be read.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise no_tokenizer(folder)
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # noqa: BLE001  (tokenizers raises bare Exception for a file it can't read)
        raise DataError(f"{path}: this tokenizer can't be read: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def read_alike(one: Path, other: Path) -> bool:
    """Whether the tokenizers of two folders turn every text into the same ids; how they cut and pad doesn't matter.

    Raises:
        MissingInputError, DataError: see `load_tokenizer`.
    """
    return load_tokenizer(one).to_str() == load_tokenizer(other).to_str()


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Take over a tokenizer, byte for byte.

    Raises:
        MissingInputError: there is no `tokenizer.json`.
        RefusedError: it needs code of its own.
    """
    files = tokenizer_files(source)
    config = source / "tokenizer_config.json"
    if config.is_file() and "auto_map" in json.loads(config.read_text(encoding="utf-8")):
        raise RefusedError(f"{config}: this tokenizer runs code of its own (auto_map), which is never executed")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for _, path in files:
        shutil.copyfile(path, folder / path.name)
        fsync_file(folder / path.name)
    fsync_folder(folder)


def is_saved(folder: Path) -> bool:
    """Whether `save_tokenizer` came to its end there."""
    return (folder / "tokenizer_config.json").is_file()
