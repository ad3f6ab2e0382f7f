"""A model of one forward pass in ONNX: written from a checkpoint, and run by onnxruntime.

Shape letters: N documents, L tokens of the longest one, T tokens of all, C labels, D width.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bmtool.models.goals.one_pass import padded_pass
from bmtool.models.onnx.export import need_onnx, write_onnx

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from onnxruntime import InferenceSession
    from transformers import PretrainedConfig

    from bmtool.contracts import Batch, Columns, Examples, OnePassTask

#: A graph of one forward pass; those of an encoder-decoder.
MODEL_FILE, ENCODER_FILE, DECODER_FILE = "model.onnx", "encoder.onnx", "decoder.onnx"


def write_one_pass(task: OnePassTask, model: Any, folder: Path, *, max_seq_length: int, has_types: bool) -> None:
    """Write `model.onnx`, with a free number of documents and any length up to `max_seq_length`.

    Inputs `input_ids` and `attention_mask` (with `has_types` also `token_type_ids`), int64 (batch, length), padded on
    the right with the model's own padding token, which is how decoders find the last real one; output `logits`, or
    `sentence_embedding` as other tools call it, float32.
    """
    model.config.use_cache = False
    function, output = padded_pass(task, model)
    ids = torch.ones((2, min(8, max_seq_length)), dtype=torch.int64)
    axes = {0: torch.export.Dim("batch", min=1, max=2**20), 1: torch.export.Dim("length", min=1, max=max_seq_length)}
    inputs = {"input_ids": (ids, axes), "attention_mask": (torch.ones_like(ids), axes)}
    if has_types:
        inputs["token_type_ids"] = (torch.zeros_like(ids), axes)
    write_onnx(function, folder / MODEL_FILE, inputs=inputs, outputs=[output])


def open_session(path: Path, threads: int | None = None) -> InferenceSession:
    """A graph, ready to run on the CPU.

    Raises:
        ConfigError: onnxruntime isn't installed.
    """
    need_onnx()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def config_of_bundle(folder: Path) -> PretrainedConfig:
    """The configuration of the model that the graphs were made of."""
    from transformers import AutoConfig

    config: PretrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    return config


class OnnxModel:
    """A graph of one forward pass that takes packed batches, as torch models do here."""

    def __init__(self, folder: Path, task: OnePassTask, *, threads: int | None = None) -> None:
        """Open `model.onnx` in `folder`, which gives what `task` reads.

        Raises:
            ConfigError: onnxruntime isn't installed.
        """
        self.task = task
        self.session = open_session(folder / MODEL_FILE, threads)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.pad_id = int(config.get("pad_token_id") or 0)
        self.has_types = any(one.name == "token_type_ids" for one in self.session.get_inputs())

    def outputs(self, batch: Batch, examples: Examples) -> Columns:
        """Results of each example of the batch, as the task gives them."""
        return self.task.read(self.values(batch), batch, examples)

    def values(self, batch: Batch) -> NDArray[np.float32]:
        """What the task reads: (N, C) or (N, D) of documents, (T, C) of tokens."""
        borders = batch.cu_seq_lens.tolist()
        lengths = np.diff(np.asarray(borders, dtype=np.int64))
        mask = np.arange(lengths.max(initial=0))[None, :] < lengths[:, None]
        ids = np.full(mask.shape, self.pad_id, dtype=np.int64)
        ids[mask] = batch.input_ids[0].cpu().numpy()[: borders[-1]]
        feeds = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
        if self.has_types:
            types = np.zeros(mask.shape, dtype=np.int64)
            if batch.token_type_ids is not None:
                types[mask] = batch.token_type_ids[0].cpu().numpy()[: borders[-1]]
            feeds["token_type_ids"] = types
        values: NDArray[np.float32] = self.session.run(None, feeds)[0]
        return values if values.ndim == 2 else values[mask]
