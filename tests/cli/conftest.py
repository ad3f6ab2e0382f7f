import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from project import write_project


@pytest.fixture(scope="session")
def project_folder(tmp_path_factory):
    """reviews.csv and tiny.yaml, nothing made yet."""
    return write_project(tmp_path_factory.mktemp("project"))
