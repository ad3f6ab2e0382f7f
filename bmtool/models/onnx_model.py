"""A model in ONNX: written from a checkpoint, and run by onnxruntime.

Shape letters: N documents, L tokens of the longest one, T tokens of all, C labels.
"""

from __future__ import annotations

import json
import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from bmtool.errors import ConfigError
from bmtool.models.head_outputs import logits_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from bmtool.contracts import Batch, Columns, Examples, HeadTask

MODEL_FILE = "model.onnx"

#: A protobuf message ends at 2 GiB; above this the weights go into a file of their own beside the graph.
MAX_EMBEDDED_BYTES = 1_800_000_000


def need_onnx(*, export: bool = False) -> None:
    """Check that the optional packages are there.

    Raises:
        ConfigError: one is missing; the message holds the line that installs them.
    """
    from importlib.util import find_spec

    wanted = ("onnxruntime", "onnx", "onnxscript") if export else ("onnxruntime",)
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"ONNX needs {' and '.join(missing)}, which isn't installed: "
            'pip install "bmtool-pipeline[onnx]", or from a checkout: pip install -e ".[onnx]"'
        )


class Logits(nn.Module):
    """A classifier as a function of right-padded token ids (N, L) and their mask (N, L) that gives only logits.

    One that is told two texts apart by token types takes these too, (N, L).
    """

    def __init__(self, model: Any) -> None:
        """Wrap a transformers model with a head."""
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """(N, C) of a document head, (N, L, C) of a token head."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        return logits_of(self.model(input_ids=input_ids, attention_mask=attention_mask, **types))


def write_onnx(model: Any, path: Path, *, max_seq_length: int, has_types: bool = False) -> None:
    """Write a classifier to `path`, with a free number of documents and any length up to `max_seq_length`.

    Inputs `input_ids` and `attention_mask` (with `has_types` also `token_type_ids`), int64 (batch, length), padded on
    the right with the model's own padding token, which is how decoders find the last real one; output `logits`,
    float32. The same model gives the same bytes.
    """
    model.config.use_cache = False
    wrapped = Logits(model).eval()
    ids = torch.ones((2, min(8, max_seq_length)), dtype=torch.int64)
    size = {0: torch.export.Dim("batch", min=1, max=2**20), 1: torch.export.Dim("length", min=1, max=max_seq_length)}
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if has_types:
        inputs["token_type_ids"] = torch.zeros_like(ids)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            wrapped,
            tuple(inputs.values()),
            dynamo=True,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(inputs, size),
            verbose=False,
        )
    if program is None:
        raise AssertionError("torch.onnx.export gave no program")
    _strip(program.model)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    program.save(str(path), external_data=weights > MAX_EMBEDDED_BYTES)


def _strip(model: Any) -> None:
    """Remove stack traces and the like: they hold this machine's paths."""
    for part in (model, model.graph, *model.graph.all_nodes(), *model.graph.initializers.values()):
        part.metadata_props.clear()


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's remarks about packages it could also support and about its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            # Both inputs share both axes, and the exporter names an axis once.
            warnings.filterwarnings("ignore", message="# The axis name", category=UserWarning)
            yield
    finally:
        logger.setLevel(level)


class OnnxModel:
    """An ONNX classifier that takes packed batches, as torch models do here."""

    def __init__(self, folder: Path, task: HeadTask, *, threads: int | None = None) -> None:
        """Open `model.onnx` in `folder`, which gives the logits that `task` reads.

        Raises:
            ConfigError: onnxruntime isn't installed.
        """
        need_onnx()
        import onnxruntime

        self.task = task

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        options.log_severity_level = 3
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.pad_id = int(config.get("pad_token_id") or 0)
        self.session = onnxruntime.InferenceSession(
            str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"]
        )
        self.has_types = any(one.name == "token_type_ids" for one in self.session.get_inputs())

    def outputs(self, batch: Batch, examples: Examples) -> Columns:
        """Results of each example of the batch, as the task gives them."""
        return self.task.read(self.logits(batch), batch, examples)

    def logits(self, batch: Batch) -> NDArray[np.float32]:
        """The logits of a packed batch: (N, C) of a document head, (T, C) of a token head."""
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
        logits: NDArray[np.float32] = self.session.run(["logits"], feeds)[0]
        return logits if logits.ndim == 2 else logits[mask]
