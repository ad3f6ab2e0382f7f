"""Say which language a text is in, with the model of py3langid, offline.

The model is a naive Bayes classifier over byte n-grams (Lui and Baldwin 2012, https://aclanthology.org/P12-3005), which
an automaton finds; here it is run over Arrow's buffers by numba. It takes about 130 MB of memory and a second to load.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.config.extras import EXTRAS
from bmtool.data.compiled import nb
from bmtool.data.text.cleaning import normalise
from bmtool.data.text.documents import text_buffers
from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bmtool.data.text.documents import Documents

#: Languages that the model tells from the one that they are a variant of, which users name.
VARIANTS = {"yue": "zh", "wuu": "zh", "nn": "no", "ary": "ar", "arz": "ar", "uzs": "uz"}


@dataclass(frozen=True)
class _Model:
    """F features, C classes, S states, R distinct rows of the automaton."""

    next_states: NDArray[np.uint32]
    """(R * 256,)"""
    rows: NDArray[np.int64]
    """(S,) where a state's row starts in `next_states`."""
    features: NDArray[np.int32]
    """(S,) the feature that is complete in a state; -1: none."""
    weights: NDArray[np.float32]
    """(F, C) logarithms of probabilities."""
    priors: NDArray[np.float32]
    """(C,)"""
    names: tuple[str, ...]
    """(L,) ISO 639 codes."""
    name_of: NDArray[np.int64]
    """(C,) a class's language in `names`: a language in two scripts has two classes."""


def model_file() -> Path:
    """Where py3langid keeps its model.

    Raises:
        ConfigError: it isn't installed.
    """
    spec = find_spec("py3langid")
    if spec is None or spec.origin is None:
        raise ConfigError(f"the filter 'language' needs the extra 'language'. Install it: {EXTRAS['language'].pip}")
    return Path(spec.origin).parent / "data" / "model.npz.xz"


@cache
def _model() -> _Model:
    path = model_file()
    from py3langid.langid import LanguageIdentifier

    read: Any = LanguageIdentifier.from_model_file(path)
    classes = list(read.nb_classes)
    names = sorted(set(classes))
    return _Model(
        next_states=np.asarray(read.tk_nextmove, np.uint32),
        rows=np.asarray(read.tk_row, np.int64) << 8,
        features=np.asarray(read.tk_output, np.int32),
        weights=np.asarray(read.nb_ptc, np.float32),
        priors=np.asarray(read.nb_pc, np.float32),
        names=tuple(names),
        name_of=np.asarray([names.index(name) for name in classes]),
    )


@nb.njit(nogil=True, cache=True)
def _probabilities(data, offsets, max_bytes, next_states, rows, features, weights, priors):  # type: ignore[no-untyped-def]
    """(N, C) from the classes' scores: log1p of a feature's count times its weight, by the root of the length."""
    results = np.empty((len(offsets) - 1, len(priors)), np.float32)
    counts = np.zeros(len(weights), np.int32)
    seen = np.empty(len(weights), np.int64)
    for document in range(len(offsets) - 1):
        start = offsets[document]
        end = min(offsets[document + 1], start + max_bytes)
        while end < offsets[document + 1] and data[end] & 0xC0 == 0x80:  # never within a character
            end -= 1
        state, num_seen = np.int64(0), 0
        for place in range(start, end):
            state = np.int64(next_states[rows[state] + data[place]])
            feature = features[state]
            if feature >= 0:
                if counts[feature] == 0:
                    seen[num_seen] = feature
                    num_seen += 1
                counts[feature] += 1
        scores = results[document]
        scores[:] = priors * np.float32(num_seen > 0)  # without a feature all are as likely
        for index in range(num_seen):
            feature = seen[index]
            times = np.float32(np.log1p(counts[feature]))
            counts[feature] = 0
            row = weights[feature]
            for one in range(len(priors)):
                scores[one] += times * row[one]
        scores /= np.float32(np.sqrt(max(end - start, 1)))
        scores -= scores.max()
        scores[:] = np.exp(scores)
        scores /= scores.sum()
    return results


def language_shares(texts: pa.Array, max_bytes: int) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """((N, L) how likely each language is for each of N texts, from 0 to 1; the L codes).

    Only the first `max_bytes` bytes of a text are read. Variants count for the language that they belong to, too.

    Raises:
        ConfigError: py3langid isn't installed.
    """
    model = _model()
    upper = pc.utf8_is_upper(texts)  # the model has seen few texts in capitals
    if pc.any(upper).as_py():
        texts = pc.if_else(upper, pc.utf8_lower(texts), texts)
    data, offsets = text_buffers(normalise(texts, "NFC"))
    classes = _probabilities(
        data, offsets, max_bytes, model.next_states, model.rows, model.features, model.weights, model.priors
    )
    shares = np.zeros((len(texts), len(model.names)), np.float32)
    for index, name in enumerate(model.name_of):
        shares[:, name] += classes[:, index]
    for variant, name in VARIANTS.items():
        if variant in model.names and name in model.names:
            shares[:, model.names.index(name)] += shares[:, model.names.index(variant)]
    return shares, model.names


def score_of(documents: Documents, keep: tuple[str, ...], max_bytes: int) -> NDArray[np.float64]:
    """(N,) how likely each document is in one of the languages `keep`, from 0 to 1.

    Raises:
        ConfigError: py3langid isn't installed.
    """
    shares, names = language_shares(documents.texts, max_bytes)
    wanted = [names.index(code) for code in keep if VARIANTS.get(code) not in keep]
    score: NDArray[np.float64] = shares[:, wanted].sum(axis=1, dtype=np.float64)
    return np.minimum(score, 1.0)
