"""What people see while bmtool works: progress on a terminal, plain lines elsewhere, all of it on stderr."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Without a terminal a long step says where it is this often: seldom enough for a cron log.
PLAIN_SECONDS = 30.0

#: Control characters never reach a terminal or a log, whatever a file or its name holds.
_CONTROL = {code: "\ufffd" for code in [*range(32), *range(127, 160)] if chr(code) not in "\n\t"}


def silence(stream: TextIO) -> None:
    """Let a stream whose reader is gone end in nothing, so that no later write and no flush at exit fails."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def json_text(document: Any) -> str:
    """`document` as one line of JSON, in characters that standard output has."""
    text = json.dumps(document, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:  # a terminal without UTF-8; or half a character, in the name of a file
        return json.dumps(document)
    return text


def size_text(size_bytes: float) -> str:
    """`12.3 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


@dataclass
class Progress:
    """One long step: how far it is, and a few numbers worth showing beside it."""

    console: Console
    label: str
    total: float | None
    done: float = 0
    notes: dict[str, str] = field(default_factory=dict)
    bar: Any = None
    task: Any = None
    said: float = field(default_factory=time.monotonic)

    def advance(self, amount: float = 1, **notes: str) -> None:
        """Move on by `amount`; `notes` replace the numbers shown beside the bar."""
        self.done += amount
        self.notes.update(notes)
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, notes=self._text())
        elif time.monotonic() - self.said >= PLAIN_SECONDS:
            self.said = time.monotonic()
            share = f"{self.done / self.total:.0%}" if self.total else f"{self.done:,.0f}"
            self.console.say(f"{self.label}: {share} {self._text()}".rstrip())

    def _text(self) -> str:
        return "  ".join(f"{key} {value}" for key, value in self.notes.items())


@dataclass
class Console:
    """Where messages go. `quiet` is silent on success; `verbose` adds details."""

    quiet: bool = False
    verbose: bool = False
    prefix: str = ""
    bar: Any = None

    @property
    def is_terminal(self) -> bool:
        """Whether a person is looking."""
        return sys.stderr.isatty()

    def say(self, text: str) -> None:
        """One line about what happens."""
        if not self.quiet:
            self._write(text)

    def detail(self, text: str) -> None:
        """One line that only `-v` shows."""
        if self.verbose and not self.quiet:
            self._write(text)

    def warn(self, text: str) -> None:
        """One line that is shown even with `-q`."""
        self._write(f"warning: {text}")

    def error(self, text: str) -> None:
        """An error, always shown. Lines that start with a place in a file stay as they are: editors read them."""
        is_placed = re.match(r"\S+:[0-9]+:[0-9]+: |--set ", text)
        self._write(text if is_placed else f"error: {text}", prefix=False)

    def _write(self, text: str, *, prefix: bool = True) -> None:
        line = f"{self.prefix}{text}" if prefix else text
        line = line.translate(_CONTROL)
        if self.bar is not None:
            self.bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
            return
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except OSError:  # `bmtool run ... 2>&1 | head`, or a full disk behind `2> log`
            silence(sys.stderr)  # the work goes on, nobody reads about it

    @contextmanager
    def progress(self, label: str, total: float | None = None) -> Iterator[Progress]:
        """A bar on a terminal; a line every half minute elsewhere; nothing with `-q`."""
        progress = Progress(self, label, total)
        if self.quiet or not self.is_terminal or self.bar is not None:
            yield progress
            return
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn(f"{self.prefix}{{task.description}}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[notes]}"),
        )
        with Bar(*columns, console=RichConsole(stderr=True), transient=True) as bar:
            self.bar = progress.bar = bar
            progress.task = bar.add_task(label, total=total, notes="")
            try:
                yield progress
            finally:
                self.bar = None
