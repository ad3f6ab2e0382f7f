"""A step that gets no memory ends with an error that says which batch would fit."""

from typing import ClassVar

import pytest
import torch
from bmtool.config.model import validate
from bmtool.errors import TryAgainError
from bmtool.objectives.mlm import Mlm
from bmtool.stages import pretrain
from bmtool.train.sizing.out_of_memory import _of_container, fitting_tokens, free_bytes, is_out_of_memory


class Greedy(Mlm):
    """Asks for more memory than there is, from the third batch on."""

    seen: ClassVar[list[int]] = []

    def losses(self, model, batch):
        self.seen.append(batch.num_tokens)
        if len(self.seen) > 2:
            torch.empty(2**60, dtype=torch.uint8)
        return super().losses(model, batch)


def test_the_error_names_the_step_and_settings_that_fit(make_job, tmp_path, corpus):
    plain = {
        "data": "corpus",
        "model": {"architecture": "bert", "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1},
        "objective": "mlm",
        "max_seq_length": 32,
        "per_device_batch_tokens": 512,
        "max_steps": 6,
    }
    config = validate(pretrain.Config, plain).model_copy(update={"objective": Greedy()})

    with pytest.raises(TryAgainError) as error:
        pretrain.run(config, make_job(tmp_path / "a", {"data": corpus}))

    assert str(error.value) == (
        "cpu is out of memory in step 3: per_device_batch_tokens is 512. About 256 would fit: with "
        "per_device_batch_tokens: 256 and gradient_accumulation_steps: 2 a step has as many tokens as now (other "
        "settings, so that training begins anew). Or free some memory: then the same command goes on from the last "
        "saved state"
    )
    assert error.value.exit_code == 75


def test_only_a_lack_of_memory_is_taken_for_one():
    with pytest.raises(RuntimeError) as lack:
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(RuntimeError) as other:
        torch.zeros(2) @ torch.zeros(3)

    assert is_out_of_memory(lack.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(other.value)


@pytest.mark.parametrize(
    ("usable", "tokens"),
    [(None, 4096), (10**12, 4096), (80_000_000, 768), (50_000, 0), (-5, 0)],
    ids=["nobody knows", "plenty", "little", "less than a text", "nothing"],
)
def test_what_fits_is_half_of_what_was_tried_or_what_is_free(usable, tokens):
    assert fitting_tokens(8192, usable, bytes_a_token=100_000) == tokens


@pytest.mark.parametrize(("limit", "free"), [("1000", 1000 - 700 + 250), ("max", None)])
def test_of_a_container_s_memory_files_that_nobody_reads_are_no_loss(tmp_path, limit, free):
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 300\nfile 400\ninactive_file 250\nactive_file 150\n")

    assert _of_container(tmp_path) == free


def test_where_no_container_limits_memory_none_is_said(tmp_path):
    assert _of_container(tmp_path) is None


def test_what_is_free_is_known():
    assert 0 < free_bytes(torch.device("cpu")) < 2**50
