"""The metadata of a sharded checkpoint executes nothing, and says nothing that its files do not hold."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch.distributed import checkpoint as torch_checkpoint

from leyden import sharded
from leyden.errors import UnsafeCheckpointError
from leyden.runs.archive import outline


@pytest.fixture
def copied(tmp_path):
    """A checkpoint to be tampered with, as one rank writes it."""
    folder = tmp_path / "copy.ckpt"
    tensors = {"state_dict.weight": torch.arange(6.0), "state_dict.bias": torch.zeros(2)}
    with warnings.catch_warnings(action="ignore"):  # that there is no other rank
        torch_checkpoint.save(tensors, storage_writer=torch_checkpoint.FileSystemWriter(folder), no_dist=True)
    torch.save({}, folder / sharded.META)
    return folder


class Touch:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_metadata_that_would_execute_something_is_refused(copied, tmp_path):
    (copied / ".metadata").write_bytes(pickle.dumps(Touch(tmp_path / "witness")))

    with pytest.raises(UnsafeCheckpointError, match="Nothing in it was executed"):
        outline(copied)
    assert not (tmp_path / "witness").exists()


def tampered(folder, change):
    """Change what the metadata of *folder* says."""
    found = pickle.loads((folder / ".metadata").read_bytes())
    change(found)
    (folder / ".metadata").write_bytes(pickle.dumps(found))


def test_metadata_that_leads_out_of_the_folder_is_refused(copied):
    def change(found):
        next(iter(found.storage_data.values())).relative_path = "../../secret"

    tampered(copied, change)

    with pytest.raises(UnsafeCheckpointError, match=r"it leads to '\.\./\.\./secret'"):
        outline(copied)


def test_metadata_of_a_tensor_that_would_fill_the_memory_is_refused(copied):
    def change(found):
        next(iter(found.state_dict_metadata.values())).size = torch.Size([10**12])

    tampered(copied, change)

    with pytest.raises(UnsafeCheckpointError, match=r"takes [\d,]+ bytes, of which"):
        outline(copied)


def test_a_part_that_expands_is_refused(copied):
    large = copied / "__9_0.distcp"
    with zipfile.ZipFile(large, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", b"\0" * 10**7)

    def change(found):
        place = next(iter(found.storage_data.values()))
        place.relative_path, place.offset, place.length = large.name, 0, large.stat().st_size

    tampered(copied, change)

    with pytest.raises(UnsafeCheckpointError, match="compressed"):
        outline(copied)
