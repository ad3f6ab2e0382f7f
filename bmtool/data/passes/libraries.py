"""Load what `prepare` needs: for the run before its first pass, for workers in their leader before it forks."""

from __future__ import annotations


def load_passes() -> None:
    """Import the passes."""
    from bmtool.data.lean import load_lean

    load_lean()  # before anything else loads numba and pyarrow
    from bmtool.data.passes import decide_all, encode_pass, publish, similar_pass, unit_pass  # noqa: F401


def load_libraries() -> None:
    """The same in a worker's leader, and have numba load what it puts off until a kernel is called."""
    from bmtool.data.lean import own_process

    own_process()
    load_passes()
    import pyarrow as pa

    from bmtool.data.text.documents import text_buffers
    from bmtool.data.text.words import count_words

    count_words(*text_buffers(pa.array(["a word"], pa.string())))
