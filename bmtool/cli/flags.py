"""Arguments and flags that several commands take: a type with its help text each."""

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[Path, typer.Argument(help="The configuration, a YAML file.")]
OutputDir = Annotated[Path, typer.Argument(help="The output folder.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, e.g. pretrain.max_steps=50.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of paths.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be made, and why; make nothing.")]
Smoke = Annotated[
    bool,
    typer.Option("--smoke", help="Try it on 1,000 rows in 20 steps; the results, under NAME.smoke, fit no other run."),
]
Force = Annotated[bool, typer.Option("--force", help="Make it again from nothing.")]
MaxTime = Annotated[
    str | None, typer.Option("--max-time", metavar="2h", help="Save and stop after this long, exit 75.")
]
Wait = Annotated[
    str | None,
    typer.Option("--wait", metavar="2h", help="Wait this long for another run's lock or a busy GPU."),
]
Locked = Annotated[bool, typer.Option("--locked", help="Exit 2 if anything upstream would have to be made again.")]
Offline = Annotated[bool, typer.Option("--offline", help="Use no network: of what `hf:` names, only what is cached.")]
Folder = Annotated[Path | None, typer.Option("-C", metavar="FOLDER", help="Change into this folder first.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say only warnings and errors; stdout stays.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more.")]
