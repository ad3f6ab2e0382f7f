"""Open and write checkpoints: transformers' own files, a tokenizer, and `bmtool.json`. Never pickle, never code."""

from __future__ import annotations

import json
import re
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from bmtool.artifacts.files import write_json
from bmtool.artifacts.foreign import PICKLE_SUFFIXES
from bmtool.data.tokenizing.tokenizer_files import TOKENIZER_FILES
from bmtool.errors import ConfigError, DataError, MissingInputError, RefusedError
from bmtool.models.building.build import attention_name, auto_model, new_model, quiet_transformers, with_labels
from bmtool.models.families.family import family_for
from bmtool.models.families.positions import longest_document
from bmtool.models.files.derived import derived_goal
from bmtool.models.files.task_folders import INFO, task_folders
from bmtool.models.heads.parameters import head_parameters, label_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from transformers import PretrainedConfig, PreTrainedModel


def check_safe(folder: Path) -> dict[str, Any]:
    """The plain content of `config.json`, once it is sure that nothing in the folder has to be run to open it.

    Raises:
        MissingInputError: no `config.json`, no weights or no `tokenizer.json`.
        RefusedError: weights only as pickle, or remote code (`auto_map`).
        DataError: a JSON file can't be read.
    """
    config = _read_json(folder / "config.json")
    if config is None:
        several = ", ".join(f"{one}/" for one in task_folders(folder).values())
        what = f"give the folder of one of its tasks: {several}" if several else "no checkpoint is here"
        raise MissingInputError(f"{folder}: {what} (config.json is missing)")
    for name, content in (("config.json", config), ("tokenizer_config.json", _tokenizer_config(folder))):
        if "auto_map" in content:
            raise RefusedError(
                f"{folder / name}: 'auto_map' asks to run code that comes with the checkpoint; bmtool never does. "
                f"Use a checkpoint whose class is part of transformers"
            )
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLE_SUFFIXES)
        if pickles:
            raise RefusedError(
                f"{folder / pickles[0]}: weights in this format can run code when they are opened; "
                f"convert them to safetensors first"
            )
        raise MissingInputError(f"{folder}: no weights are here (a file that ends in .safetensors)")
    require_tokenizer(folder)
    return config


def require_tokenizer(folder: Path) -> Path:
    """The folder's `tokenizer.json`.

    Raises:
        MissingInputError: it isn't there.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise MissingInputError(
            f"{path} is missing: bmtool reads fast tokenizers only. Make it with "
            f"AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    return path


def open_config(folder: Path) -> PretrainedConfig:
    """The checkpoint's transformers configuration; the folder is checked first, see `check_safe`."""
    from transformers import AutoConfig

    check_safe(folder)
    config: PretrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    return config


def open_model(
    folder: Path,
    auto_class: str,
    labels: Sequence[str] | None = None,
    attention: str = "packed",
    *,
    seed: int = 0,
    new_head: bool = False,
) -> PreTrainedModel:
    """The checkpoint as a float32 `auto_class` in evaluation mode.

    See `open_and_complete`; here what is new isn't told.
    """
    return open_and_complete(folder, auto_class, labels, attention, seed=seed, new_head=new_head)[0]


def open_and_complete(
    folder: Path,
    auto_class: str,
    labels: Sequence[str] | None = None,
    attention: str = "packed",
    *,
    seed: int = 0,
    new_head: bool = False,
) -> tuple[PreTrainedModel, frozenset[str]]:
    """The checkpoint as a float32 `auto_class` in evaluation mode, and the names of its weights that are new.

    With `labels` a head may be missing, or be one for other labels: then it is new, and depends on `seed` alone. So it
    may with `new_head`, for a language model of which the backbone was published, and a pooler of a backbone alone
    (`AutoModel`). Else every weight of the model must be in the checkpoint. Weights of another head are left out.

    Raises:
        MissingInputError, RefusedError: see `check_safe`.
        ConfigError: the architecture has no such class, or the checkpoint has no such head; or documents of a batch
            could see each other in the model.
        DataError: the checkpoint lacks weights of the backbone, or can't be read.
    """
    config = open_config(folder)
    same_labels = labels is None or dict(enumerate(labels)) == config.id2label
    model, missing = _load(folder, auto_class, with_labels(config, labels), attention)
    head = head_parameters(model)
    lost = sorted(missing - head)
    if lost:
        raise DataError(f"{folder}: weights of the model are missing: {_some(lost)}")
    asks_for_head = model.base_model is not model
    if labels is None and missing and asks_for_head and not new_head:
        raise ConfigError(
            f"{folder}: this checkpoint has no head for {auto_class} (missing: {_some(sorted(missing))}). "
            f"It is a {', '.join(config.architectures or ['model without a head'])}. "
            f"For pre-training to begin with a new one, set pretrain.new_head: true"
        )
    if attention == "packed":
        family_for(config).check(model)
    new = missing if same_labels else missing | label_parameters(model)
    _renew(model, new, auto_class, seed)
    model.train(mode=False)
    return model, frozenset(new)


def _load(folder: Path, auto_class: str, config: PretrainedConfig, attention: str) -> tuple[PreTrainedModel, set[str]]:
    """The model, and names of parameters that the checkpoint lacks or has in another shape."""
    try:
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            model, report = auto_model(auto_class).from_pretrained(
                folder,
                config=config,
                attn_implementation=attention_name(attention, config),
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if "Unrecognized configuration class" in str(error):
            raise ConfigError(f"{folder}: a '{config.model_type}' model has no class for {auto_class}") from None
        raise DataError(f"{folder}: the checkpoint can't be opened: {_first_line(error)}") from error
    strange = [name for name in report["unexpected_keys"] if not _is_other_head(name, model)]
    if strange:
        raise DataError(f"{folder}: weights that the model has no place for: {_some(sorted(strange))}")
    mismatched = {key[0] for key in report["mismatched_keys"]}
    return model, set(report["missing_keys"]) | mismatched


def _is_other_head(name: str, model: PreTrainedModel) -> bool:
    """Whether a weight that was not used belongs to another head, and not to the backbone."""
    backbone = f"{model.base_model_prefix}."
    if model.base_model is model:
        parts = {part for part, _ in model.named_children()}
        return name.removeprefix(backbone).partition(".")[0] not in parts - {"pooler"}
    return (
        not name.startswith(backbone) or re.match(rf"{re.escape(backbone)}(pooler\.|.*position_ids$)", name) is not None
    )


def _renew(model: PreTrainedModel, names: set[str], auto_class: str, seed: int) -> None:
    """Give the named parameters the values of a new model with this seed."""
    if not names:
        return
    parameters = dict(model.named_parameters(remove_duplicate=False))
    fresh = dict(
        new_model(model.config, auto_class, seed=seed, attention="eager").named_parameters(remove_duplicate=False)
    )
    with torch.no_grad():
        for name in sorted(names):
            parameters[name].copy_(fresh[name])


def save_checkpoint(folder: Path, model: PreTrainedModel, tokenizer_folder: Path, info: Mapping[str, Any]) -> None:
    """Write transformers' files (float32), the tokenizer's and `bmtool.json` into `folder`."""
    if any(parameter.dtype != torch.float32 for parameter in model.parameters()):
        raise AssertionError("a checkpoint holds float32 weights")
    folder.mkdir(parents=True, exist_ok=True)
    with quiet_transformers():
        model.save_pretrained(folder)
    for weights in folder.glob("*.safetensors"):
        shutil.copymode(folder / "config.json", weights)  # safetensors lets only the owner read
    copy_tokenizer(tokenizer_folder, folder)
    if "max_seq_length" in info:  # else `truncation=True` cuts nothing where transformers opens it
        longest = {"model_max_length": info["max_seq_length"]}
        write_json(folder / "tokenizer_config.json", _tokenizer_config(folder) | longest)
    write_json(folder / INFO, dict(info))


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy a tokenizer's files into another folder."""
    require_tokenizer(source)
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def read_info(folder: Path) -> dict[str, Any]:
    """What `bmtool.json` says; for a foreign folder what can be derived from its `config.json`.

    Keys: goal ({type, settings}, or None), goal_kind (`task`, `objective` or None), labels, max_seq_length,
    data_fingerprint, metric, best. Nothing is loaded but JSON.

    Raises:
        MissingInputError, RefusedError, DataError: see `check_safe`.
    """
    config = check_safe(folder)
    info = _read_json(folder / INFO)
    if info is not None:
        return info
    kind, goal, labels = derived_goal(config)
    return {
        "goal": goal,
        "goal_kind": kind,
        "labels": labels,
        "max_seq_length": min(longest_document(SimpleNamespace(**{"model_type": "", **config})) or 512, 512),
        "data_fingerprint": "",
        "metric": None,
        "best": None,
    }


def _tokenizer_config(folder: Path) -> dict[str, Any]:
    return _read_json(folder / "tokenizer_config.json") or {}


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object")
    return content


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


__all__ = [
    "INFO",
    "check_safe",
    "copy_tokenizer",
    "new_model",
    "open_and_complete",
    "open_config",
    "open_model",
    "read_info",
    "require_tokenizer",
    "save_checkpoint",
]
