"""The small files by which the library sentence-transformers knows how a checkpoint's vectors are made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bmtool.artifacts.files import write_json

if TYPE_CHECKING:
    from pathlib import Path

    from bmtool.models.families.pooling import Pooling

_MODULES = ("Transformer", "Pooling", "Normalize")


def write_sentence_layout(folder: Path, pooling: Pooling, max_seq_length: int) -> None:
    """Write `modules.json`, `sentence_bert_config.json` and `1_Pooling/config.json` beside a checkpoint.

    The format is that of sentence-transformers 2 to 6: a transformer, a pooling, and a scaling to length 1.
    """
    width = json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    modules = [
        {
            "idx": place,
            "name": str(place),
            "path": f"{place}_{name}" if place else "",
            "type": f"sentence_transformers.models.{name}",
        }
        for place, name in enumerate(_MODULES)
    ]
    write_json(folder / "modules.json", modules)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_seq_length, "do_lower_case": False})
    (folder / "1_Pooling").mkdir(exist_ok=True)
    write_json(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": width,
            "pooling_mode_cls_token": pooling == "cls",
            "pooling_mode_mean_tokens": pooling == "mean",
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    )
