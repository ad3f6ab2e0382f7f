"""Checkpoints and tokenizers of the hub, with a small hub on this machine."""

import sys
from pathlib import Path

import pytest
from bmtool.artifacts.foreign import checkpoint_files, hub_checkpoint
from bmtool.artifacts.hashes import HashCache
from bmtool.config.hub import hub_name
from bmtool.config.model import validate
from bmtool.console import Console
from bmtool.data.tokenizing.tokenizer_files import TOKENIZER_FILES
from bmtool.data.tokenizing.tokenizer_settings import TokenizerFrom
from bmtool.errors import MissingInputError, RefusedError, TryAgainError
from huggingface_hub import constants

sys.path.insert(0, str(Path(__file__).parent))
from hub_server import serving

FILES = {
    "README.md": b"# card",
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": b"weights" * 500,
    "pytorch_model.bin": b"weights" * 500,
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "1_Pooling/config.json": b"{}",
    "onnx/model.safetensors": b"",
}
CHOSEN = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


@pytest.fixture
def server(tmp_path, monkeypatch):
    with serving() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", "none")
        yield server


@pytest.fixture
def take(tmp_path):
    """The model org/name as an input of a stage."""
    hashes = HashCache(tmp_path / "hashes")

    def take(name="hf:org/name", console=None):
        return hub_checkpoint(hub_name(name), TOKENIZER_FILES, hashes, console)

    return take


def test_what_opens_a_checkpoint_is_fetched_once_and_looking_needs_no_network(server, take, capsys):
    commit = server.commit("org/name", FILES)
    with pytest.raises(MissingInputError, match="this model isn't in the hub's cache"):
        take()
    looked = list(server.requests)

    fetched = take(console=Console())
    asked = len(server.requests)
    again, pinned = take(console=Console()), take(f"hf:org/name@{commit}")

    assert looked == []
    assert sorted(path.name for path in fetched.folder.rglob("*") if path.is_file()) == CHOSEN
    assert fetched.revision == f"hf:org/name@{commit}"
    assert fetched == again == pinned
    assert len(server.requests) == asked
    assert f"To pin it: hf:org/name@{commit}" in capsys.readouterr().err


def test_what_others_put_into_the_cache_is_no_part_of_the_input(server, take):
    server.commit("org/name", FILES)
    before = take(console=Console())

    (before.folder / "1_Pooling").mkdir()
    (before.folder / "1_Pooling" / "config.json").write_bytes(FILES["1_Pooling/config.json"])
    (before.folder / "pytorch_model.bin").write_bytes(FILES["pytorch_model.bin"])

    assert take().fingerprint == before.fingerprint


def test_offline_is_what_is_cached(server, take, monkeypatch):
    server.commit("org/name", FILES)
    before = take(console=Console())
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")

    with pytest.raises(TryAgainError, match=r"hf:org/other: .* can't be reached"):
        take("hf:org/other", Console())
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    assert take(console=Console()) == before
    with pytest.raises(MissingInputError, match="hf:org/other: this model isn't in the hub's cache"):
        take("hf:org/other", Console())


def test_only_the_weights_that_are_opened_are_taken():
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = "model.safetensors.index.json"
    other = ["consolidated.safetensors", "tokenizer.json", "config.json", "modeling.py"]

    assert checkpoint_files([*shards, index, *other], TOKENIZER_FILES, "m") == sorted(
        ["config.json", "tokenizer.json", index, *shards]
    )
    assert "model.safetensors" in checkpoint_files(["model.safetensors", *other], TOKENIZER_FILES, "m")


@pytest.mark.parametrize(
    ("gone", "error", "text"),
    [
        (
            "model.safetensors",
            RefusedError,
            r"hf:org/name: weights in pickle format \(pytorch_model.bin\) can run code",
        ),
        ("config.json", MissingInputError, r"hf:org/name: no checkpoint .* \(config.json is missing\)"),
        ("tokenizer.json", MissingInputError, r"hf:org/name: no checkpoint .* \(tokenizer.json is missing\)"),
    ],
)
def test_what_can_never_be_opened_is_not_fetched(server, take, gone, error, text):
    server.commit("org/name", {name: data for name, data in FILES.items() if name != gone})

    with pytest.raises(error, match=text):
        take(console=Console())

    assert not [one for one in server.requests if "resolve" in one]


def test_of_a_tokenizer_only_its_files_are_fetched(server):
    commit = server.commit("org/name", FILES)
    taken = validate(TokenizerFrom, {"from": "hf:org/name"})

    taken.fetch(Console())

    assert [name for name, _ in taken.files()] == ["tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"]
    assert taken.revisions() == {"hf:org/name": commit}
    assert not [one for one in server.requests if "safetensors" in one]
