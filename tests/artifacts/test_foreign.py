"""Checkpoints that bmtool didn't make."""

import pytest
from bmtool.artifacts.foreign import foreign_checkpoint
from bmtool.artifacts.hashes import HashCache
from bmtool.errors import MissingInputError, RefusedError


@pytest.fixture
def checkpoint(tmp_path):
    """A folder that looks like a checkpoint."""
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_snapshot_in_the_hubs_cache_is_read_through_its_links(checkpoint, tmp_path):
    snapshot = tmp_path / "snapshots/abc"
    snapshot.mkdir(parents=True)
    for path in checkpoint.iterdir():
        (snapshot / path.name).symlink_to(path)
    hashes = HashCache(tmp_path / "hashes")

    linked = foreign_checkpoint(snapshot, hashes)

    assert linked.fingerprint == foreign_checkpoint(checkpoint, hashes).fingerprint


def test_other_weights_and_no_hidden_file_are_another_identity(checkpoint, tmp_path):
    hashes = HashCache(tmp_path / "hashes")
    before = foreign_checkpoint(checkpoint, hashes).fingerprint

    (checkpoint / ".cache").mkdir()
    (checkpoint / ".cache/state.json").write_text("{}")
    same = foreign_checkpoint(checkpoint, hashes).fingerprint
    (checkpoint / "model.safetensors").write_bytes(b"others!")

    assert same == before
    assert foreign_checkpoint(checkpoint, hashes).fingerprint != before


def test_weights_in_pickle_only_are_refused_and_none_are_missing(checkpoint, tmp_path):
    hashes = HashCache(tmp_path / "hashes")
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")

    with pytest.raises(RefusedError) as refused:
        foreign_checkpoint(checkpoint, hashes)
    (checkpoint / "pytorch_model.bin").unlink()
    with pytest.raises(MissingInputError) as missing:
        foreign_checkpoint(checkpoint, hashes)

    assert str(refused.value) == (
        f"{checkpoint / 'pytorch_model.bin'}: weights in pickle format can run code when they are opened; "
        "convert them to safetensors first"
    )
    assert str(missing.value) == f"{checkpoint}: no weights are here (a file that ends in .safetensors)"
