"""What `doctor` says of extras, and of the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bmtool.commands.doctor.finding import note, ok, problem, refused
from bmtool.config.extras import EXTRAS
from bmtool.console import size_text
from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bmtool.commands.doctor.finding import Finding
    from bmtool.runner.pipeline import Pipeline


def extras(needed: Mapping[str, Sequence[str]] | None) -> Iterator[Finding]:
    """Each extra: installed or not, what it is for; then the network.

    `needed` says by extra what of a configuration needs it; None: nobody knows what will run.
    """
    for name, extra in EXTRAS.items():
        missing, users = extra.missing(), (needed or {}).get(name, ())
        topic, lacking = f"[{name}]", f"{' and '.join(missing)} isn't installed"
        if users:
            purpose = f"the file needs it for {', '.join(users)}"
            code = ConfigError.exit_code
            yield problem(topic, f"{purpose}; {lacking}", extra.pip, exit_code=code) if missing else ok(topic, purpose)
        elif not missing:
            yield ok(topic, extra.purpose)
        elif needed is None:
            yield note(topic, f"{extra.purpose}; {lacking}", extra.pip)
        else:
            yield ok(topic, f"{lacking}, and the file doesn't need it")
    yield from _network()


def reporters(pipeline: Pipeline | None) -> Iterator[Finding]:
    """Whether what the file reports to can work, where its package is installed."""
    sections = (getattr(pipeline, stage, None) for stage in ("pretrain", "finetune"))
    found = {one.name(): one for section in sections if section is not None for one in section.report_to}
    for name, reporter in found.items():
        if EXTRAS[name].missing():
            continue
        try:
            reporter.check()
        except ConfigError as error:
            yield refused("report_to", error)


def _network() -> Iterator[Finding]:
    from huggingface_hub import constants

    if constants.is_offline_mode():
        yield note("network", "HF_HUB_OFFLINE is set: of what `hf:` names, only what is cached", "unset HF_HUB_OFFLINE")
    else:
        yield ok("network", f"used for what `hf:` names ({constants.ENDPOINT}) and by report_to, for nothing else")
    cache = Path(constants.HF_HUB_CACHE).expanduser()
    blobs = [path for path in cache.glob("*/blobs/*") if path.is_file()]
    size = sum(path.stat().st_size for path in blobs)
    yield ok("hub", f"{size_text(size)} cached in {cache}" if blobs else f"nothing is cached in {cache}")
