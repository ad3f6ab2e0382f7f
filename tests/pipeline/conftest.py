import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from project import bmtool, tree, write_project

STAGES = ("prepare", "pretrain", "finetune", "evaluate", "export")


@pytest.fixture(scope="session")
def steps(tmp_path_factory):
    """An uninterrupted run, stage by stage: the folder before each stage, and what was there after it."""
    root = tmp_path_factory.mktemp("steps")
    folder = write_project(root / "project")
    before, after = {}, {}
    for stage in STAGES:
        before[stage] = root / f"before-{stage}"
        shutil.copytree(folder, before[stage], symlinks=True)
        done = bmtool(folder, stage, "tiny.yaml")
        assert done.returncode == 0, done.stderr
        after[stage] = tree(folder / "runs")
    return folder, before, after


@pytest.fixture(scope="session")
def finished(steps):
    """The folder in which all stages are done. Look, don't touch."""
    return steps[0]


@pytest.fixture
def at(steps, tmp_path):
    """`at("pretrain")`: a copy of the folder in which everything before that stage is done."""

    def copy(stage: str) -> Path:
        shutil.copytree(steps[1][stage], tmp_path / "project", symlinks=True)
        return tmp_path / "project"

    return copy


@pytest.fixture
def expected(steps):
    """`expected("pretrain")`: what an uninterrupted run leaves after that stage."""
    return steps[2].__getitem__
