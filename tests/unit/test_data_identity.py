"""Data are told apart by what they are, wherever they lie, and no file is read twice for it."""

import hashlib
import os
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from leyden.combined_loader import CombinedLoader
from leyden.datasets import Digits
from leyden.datasets.in_memory import InMemory, loader
from leyden.runs.data_identity import by_name, of_loader, of_paths, paths_in, recipe
from leyden.runs.file_hashes import cache_folder, identify


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Folder(Dataset):
    """Files of a folder, as image data sets keep them."""

    def __init__(self, root):
        self.root = str(root)
        self.samples = [(str(path), index) for index, path in enumerate(sorted(Path(root).iterdir()))]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return Path(self.samples[index][0]).read_bytes()


class Drawn(IterableDataset):
    """Numbers from a generator."""

    def __init__(self, seed):
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self):
        return iter(torch.randn(3, generator=self.generator))


class Opened(Dataset):
    """An open file, which says nothing about what is in it."""

    def __init__(self, file):
        self.file = file

    def __len__(self):
        return 1


def sha(dataset):
    return of_loader(DataLoader(dataset))["sha256"]


def folder_with(path, **files):
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name).write_text(text)
        os.utime(path / name, (1, 1))
    return path


def grown_old(*paths):
    """Wait until the files are no news any more: what has just changed is not kept in the cache."""
    while max(os.stat(path).st_ctime_ns for path in paths) + 2_100_000_000 > time.time_ns():
        time.sleep(0.05)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: TensorDataset(x, torch.arange(4)),
        lambda x: InMemory(x, torch.arange(4)),
        lambda x: Subset(TensorDataset(x), [0, 1, 3]),
        lambda x: ConcatDataset([TensorDataset(x), TensorDataset(x + 1)]),
        lambda x: TensorDataset(x.to(torch.bfloat16)),
        lambda x: [x, {"a": x.numpy()}],
    ],
)
def test_one_changed_number_changes_the_hash(make):
    values = torch.arange(12.0).reshape(4, 3)
    changed = values.clone()
    changed[3, 2] = 100

    found = of_loader(DataLoader(make(values)))

    assert found["kind"] == "arrays"
    assert found["unknown"] == []
    assert found["sha256"] == sha(make(values.clone())) != sha(make(changed))


def test_shape_and_type_belong_to_the_data():
    values = torch.zeros(4, 3)

    hashes = {sha(TensorDataset(each)) for each in (values, values.reshape(4, 3, 1), values.int(), values.double())}

    assert len(hashes) == 4


def test_which_samples_and_which_transform_belong_to_the_data():
    data = TensorDataset(torch.arange(4.0))

    assert sha(Subset(data, [0, 1])) != sha(Subset(data, [1, 0]))
    assert sha(InMemory(torch.ones(2), transform=partial(torch.add, 1))) != sha(
        InMemory(torch.ones(2), transform=partial(torch.add, 2))
    )


def test_the_hash_is_the_same_in_another_process():
    program = textwrap.dedent("""
        import torch
        from torch.utils.data import DataLoader, TensorDataset
        from leyden.runs.data_identity import of_loader
        data = TensorDataset(torch.arange(6.0))
        data.words, data.made_by, data.parts = {"b", "a", "c"}, dict.fromkeys, [{"x": "y"}, "z", 1.5]
        print(of_loader(DataLoader(data))["sha256"])
    """)
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(said) == 1


def test_a_folder_is_its_files_wherever_it_lies(tmp_path):
    here = folder_with(tmp_path / "here" / "data", a="1", b="2")
    there = folder_with(tmp_path / "there", a="1", b="2")
    other = folder_with(tmp_path / "other", a="1", b="3")

    found = of_loader(DataLoader(Folder(here)))

    assert found["kind"] == "files"
    assert found["files"]["root"]["files"] == 2
    assert found["sha256"] == sha(Folder(there)) != sha(Folder(other))


def test_drawn_data_are_their_seed_and_not_the_state_of_the_generator():
    first, used, other = Drawn(0), Drawn(0), Drawn(1)
    list(used)

    found = of_loader(DataLoader(first))

    assert (found["kind"], found["samples"]) == ("generated", None)
    assert found["sha256"] == sha(used) != sha(other)


def test_what_cannot_be_looked_into_is_named(tmp_path):
    with open(tmp_path / "x", "w") as file:
        found = of_loader(DataLoader(Opened(file)))

    assert found["unknown"] != []
    assert found["kind"] == "unknown"


def test_a_data_set_that_holds_itself_ends():
    data = TensorDataset(torch.ones(2))
    data.me = data

    assert len(sha(data)) == 64


def test_a_memory_map_is_its_file(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(10))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")

    found = of_loader([mapped])

    assert found["kind"] == "files"
    assert found["bytes"] == 0


def test_arrays_of_objects_and_lists_of_arrays_are_their_values():
    words = np.array(["a", "b", None] * 1000, dtype=object)
    other = words.copy()
    other[1500] = "c"

    assert sha([words]) == sha([words.copy()]) != sha([other])
    assert sha([np.zeros(2)]) != sha([np.zeros(2, dtype=np.int64)])
    assert of_loader([np.int64(3), torch.float32, [np.float32(1.5)]])["unknown"] == []


def test_long_lists_are_hashed_by_value():
    words = [f"word{number}" for number in range(300_000)]
    data = TensorDataset(torch.ones(1))
    data.words = words
    same = TensorDataset(torch.ones(1))
    same.words = ["".join(list(word)) for word in words]

    assert sha(data) == sha(same)


def test_a_flipped_bit_in_a_file_is_found_though_size_and_time_are_put_back(tmp_path):
    folder = folder_with(tmp_path / "data", a="1234")
    before = identify(folder)["sha256"]
    grown_old(folder / "a")
    identify(folder)
    facts = os.stat(folder / "a")
    content = bytearray((folder / "a").read_bytes())
    content[2] ^= 1
    (folder / "a").write_bytes(content)
    os.utime(folder / "a", ns=(facts.st_atime_ns, facts.st_mtime_ns))

    assert os.stat(folder / "a").st_mtime_ns == facts.st_mtime_ns
    assert identify(folder)["sha256"] != before


def test_files_are_read_once(tmp_path):
    folder = folder_with(tmp_path / "data", a="1", b="2")
    grown_old(folder / "a", folder / "b")
    first = identify(folder)
    (kept,) = cache_folder().iterdir()
    kept.write_text(
        kept.read_text().replace(hashlib.sha256(b"1").hexdigest(), "0" * 64)
    )  # who trusts it has not read the file

    second = identify(folder)

    assert second["sha256"] != first["sha256"]
    assert second["by"] == "content"


def test_a_broken_cache_costs_a_second_look_and_nothing_else(tmp_path):
    folder = folder_with(tmp_path / "data", a="1")
    grown_old(folder / "a")
    first = identify(folder)
    for kept in cache_folder().iterdir():
        kept.write_text('{"a": [1')

    assert identify(folder) == first


def test_too_much_to_read_is_told_apart_by_names_and_sizes(tmp_path):
    (tmp_path / "data").mkdir()
    with open(tmp_path / "data" / "big", "wb") as file:
        file.truncate(2**31)

    found = identify(tmp_path / "data")

    assert (found["by"], found["bytes"]) == ("names and sizes", 2**31)


def test_paths_in_the_data_group_of_a_config_are_found(tmp_path):
    folder_with(tmp_path / "mnist", a="1")
    folder_with(tmp_path / "train", a="1")
    config = {"data": {"root": "mnist", "split": "train", "missing_dir": "nowhere", "batch_size": 3, "path": "."}}

    found = of_paths(paths_in(config))

    assert list(paths_in(config)) == ["data.root", "data.missing_dir", "data.path"]
    assert list(found) == ["data.root"]
    assert found["data.root"]["by"] == "content"


def test_the_recipe_says_what_decides_about_batches():
    data = Digits(batch_size=32, num_workers=0)
    data.setup("fit")

    found = recipe(data.train_dataloader())

    assert {name: found[name] for name in ("batch_size", "shuffle", "drop_last", "num_workers", "batches")} == {
        "batch_size": 32, "shuffle": True, "drop_last": False, "num_workers": 0, "batches": 40,
    }  # fmt: skip
    assert found["collate_fn"] == "leyden.datasets.in_memory.whole"
    assert found["generator"] is None


def test_the_recipe_knows_workers_and_generators():
    data = TensorDataset(torch.ones(4))
    generator = torch.Generator().manual_seed(5)

    found = recipe(DataLoader(data, num_workers=2, multiprocessing_context="fork", generator=generator))

    assert (found["num_workers"], found["prefetch_factor"], found["multiprocessing"]) == (2, 2, "fork")
    assert (found["generator"], found["shuffle"]) == (5, False)


def test_several_loaders_have_names():
    data = TensorDataset(torch.ones(4))
    one, two = loader(data), loader(data)

    assert list(by_name("val", one)) == ["val"]
    assert list(by_name("val", [one, two])) == ["val/0", "val/1"]
    assert list(by_name("train", CombinedLoader({"a": one, "b": two}, "min_size"))) == ["train/0", "train/1"]
