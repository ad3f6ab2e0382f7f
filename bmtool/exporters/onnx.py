"""ONNX: graphs that onnxruntime runs without torch, for any number of texts of any length the model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import PositiveFloat  # noqa: TC002  # pydantic reads the annotation below

from bmtool.contracts import Exporter

if TYPE_CHECKING:
    from pathlib import Path

    from bmtool.artifacts.manifest import Artifact
    from bmtool.contracts import Job


class Onnx(Exporter):
    """float32, reloaded in a fresh process and compared with the checkpoint on real rows."""

    tolerance: PositiveFloat = 1e-3
    """The largest difference of a logit, or of a number of a vector of length 1, that is allowed."""

    def extras(self) -> tuple[str, ...]:
        """What writes and runs ONNX."""
        return ("onnx",)

    def export(self, checkpoint: Artifact, data: Any, folder: Path, job: Job) -> dict[str, Any]:
        """Write `model.onnx` and what it needs into `folder`; return the comparison on the rows of `data`."""
        from bmtool.models.bundles.bundle import compare, write_bundle

        write_bundle(checkpoint, folder)
        return compare(checkpoint, folder, data, tolerance=self.tolerance, job=job)
