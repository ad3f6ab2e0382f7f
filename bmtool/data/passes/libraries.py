"""Load what every worker of `prepare` needs, once, in their leader, before they are forked."""

from __future__ import annotations


def load_libraries() -> None:
    """Import the passes, and have numba load what it puts off until a kernel is called."""
    from bmtool.data.lean import load_lean, own_process

    own_process()
    load_lean()
    import pyarrow as pa

    from bmtool.data.passes import encode_pass, publish, similar_pass, unit_pass  # noqa: F401  # code of all tasks
    from bmtool.data.text.documents import text_buffers
    from bmtool.data.text.words import count_words

    count_words(*text_buffers(pa.array(["a word"], pa.string())))
