"""The tables of English as arrays, for the kernels that cut segments into words."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bmtool.data.quality import english
from bmtool.data.quality.hashing import hash_of
from bmtool.data.quality.tokens import cut_without_merges, decode, hash_tokens, run_hash, scratch

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Tables(NamedTuple):
    """What the rule looks up, as arrays for the kernels."""

    flags: NDArray[np.int32]
    """(HAN + 2,) `bmtool.data.quality.english.characters`"""
    lengths: NDArray[np.uint32]
    """(256,) bit n is set where an exception of n bytes starts with this byte"""
    exceptions: NDArray[np.uint64]
    """(2^m, 2) open addressing: hash of an exception, its number"""
    parts: NDArray[np.int32]
    """(E, 4) how many tokens each exception is, and their code points"""
    texts: NDArray[np.uint8]
    """(E, 32) how many bytes each exception has, and these: a hash alone decides nothing"""
    merges: NDArray[np.uint64]
    """(2^m, 2) the same for the hash of the tokens that an exception falls into by the other rules"""
    merge_starts: NDArray[np.bool_]
    """(4096,) the last bits of the hashes of the first of these tokens"""
    longest_merge: int
    units: NDArray[np.uint64]
    """(U,) units such as `km`, twelve bits a code point"""
    stop_words: NDArray[np.uint64]
    """(8,) hashes"""


def _table(pairs: dict[int, int]) -> NDArray[np.uint64]:
    size = 1 << (4 * max(len(pairs), 1)).bit_length()
    table = np.zeros((size, 2), np.uint64)
    for key, number in pairs.items():
        place = key >> 1 & size - 1
        while table[place, 0]:
            place = place + 1 & size - 1
        table[place] = key, number
    return table


def _hash(text: str) -> int:
    data = np.frombuffer(text.encode(), np.uint8)
    return int(hash_of(data, 0, len(data)))


def _packed(unit: str) -> int:
    return sum(ord(character) << 12 * place for place, character in enumerate(reversed(unit)))


def _merges(words: list[str], plain: Tables) -> tuple[dict[int, int], NDArray[np.bool_], int]:
    """What each exception falls into by the rules without exceptions, where that is more than one token."""
    merges, starts, longest = {}, np.zeros(4096, bool), 1
    for number, word in enumerate(words):
        data = np.frombuffer(word.encode(), np.uint8)
        room = scratch(len(data))
        n = cut_without_merges(data, decode(data, 0, len(data), room, plain.flags), room, plain)
        if n > 1:
            hash_tokens(data, n, room)
            merges[int(run_hash(room.hashes, 0, n))] = number
            starts[int(room.hashes[0]) & 4095] = True
            longest = max(longest, n)
    return merges, starts, longest


@cache
def tables() -> Tables:
    """The tables of English, built once a process."""
    words = english.exceptions()
    parts = np.zeros((len(words), 4), np.int32)
    texts = np.zeros((len(words), 32), np.uint8)
    lengths = np.zeros(256, np.uint32)
    for number, (word, tokens) in enumerate(words.items()):
        parts[number, : len(tokens) + 1] = [len(tokens), *map(len, tokens)]
        data = word.encode()
        texts[number, : len(data) + 1] = [len(data), *data]
        lengths[data[0]] |= np.uint32(1 << len(data))
    plain = Tables(
        flags=english.characters(),
        lengths=np.zeros(256, np.uint32),
        exceptions=_table({}),
        parts=parts,
        texts=texts,
        merges=_table({}),
        merge_starts=np.zeros(4096, bool),
        longest_merge=1,
        units=np.array([_packed(unit) for unit in english.UNITS.split()], np.uint64),
        stop_words=np.array([_hash(word) for word in english.STOP_WORDS], np.uint64),
    )
    merges, starts, longest = _merges(list(words), plain)
    known = _table({_hash(word): number for number, word in enumerate(words)})
    return plain._replace(
        lengths=lengths, exceptions=known, merges=_table(merges), merge_starts=starts, longest_merge=longest
    )
