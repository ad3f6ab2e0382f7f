"""A name is a link, and nothing that isn't one is lost for it."""

import shutil

import pytest
from bmtool.artifacts.names import switch
from bmtool.errors import StorageError


@pytest.fixture
def root(tmp_path):
    """Two artifacts, to the first of which a name points."""
    for name in ("prepare-1", "prepare-2"):
        (tmp_path / "store" / name).mkdir(parents=True)
    switch(tmp_path, "x/prepare/corpus", tmp_path / "store/prepare-1")
    return tmp_path


def test_a_name_is_switched_and_switched_back(root):
    first = switch(root, "x/prepare/corpus", root / "store/prepare-1")
    second = switch(root, "x/prepare/corpus", root / "store/prepare-2")

    assert (first, second) == (False, True)
    assert (root / "x/prepare/corpus").resolve() == root / "store/prepare-2"


def test_a_copy_that_followed_links_is_named_and_stays(root):
    copy = root / "copy"
    shutil.copytree(root / "store", copy / "store")
    shutil.copytree(root / "x", copy / "x")  # as scp -r does

    with pytest.raises(StorageError) as error:
        switch(copy, "x/prepare/corpus", copy / "store/prepare-1")

    assert str(error.value) == (
        f"{copy}/x/prepare/corpus: a folder is where a name should be, which is a link. A copy that follows links "
        "leaves it so. Move it away, and run the same command again"
    )
    assert (copy / "x/prepare/corpus").is_dir()


def test_a_file_in_place_of_a_folder_of_names_is_named(root):
    (root / "y").write_text("mine")

    with pytest.raises(StorageError) as error:
        switch(root, "y/prepare/corpus", root / "store/prepare-1")

    assert str(error.value) == (
        f"{root}/y: a file is where a folder should be. Move it away, and run the same command again"
    )


def test_a_file_that_a_copy_left_of_a_link_becomes_one_again(root):
    (root / "x/prepare/corpus").unlink()
    (root / "x/prepare/corpus").write_text("../../store/prepare-1")  # as git without symlinks does

    assert switch(root, "x/prepare/corpus", root / "store/prepare-1")
    assert (root / "x/prepare/corpus").resolve() == root / "store/prepare-1"
