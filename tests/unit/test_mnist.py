"""MNIST finds its four files wherever they are kept, gets what is missing once, and says so if it cannot."""

import gzip
import hashlib
import os
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from leyden.datasets import MNIST, FashionMNIST
from leyden.errors import ConfigurationError

FILES = tuple(MNIST.checksums)
HERE = Path(__file__).resolve().parents[2]


def write_idx(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.numpy().tobytes()
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)


def write_mnist(folder, suffix=".gz", train=60, test=20):
    """Write the four files with random pixels, and labels that count up."""
    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", train), ("t10k", test)):
        pixels = torch.randint(256, (count, 28, 28), generator=generator, dtype=torch.uint8)
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", pixels)
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", torch.arange(count, dtype=torch.uint8))


@pytest.fixture(scope="module")
def full_size(tmp_path_factory):
    """The real data set if this machine has it; else files of its size, mean and deviation."""
    named = os.environ.get("LEYDEN_TEST_MNIST")
    candidates = [Path(named)] if named else [HERE / "data/mnist", HERE.parent / "shared/data/mnist"]
    for folder in candidates:
        if all((folder / name).is_file() for name in FILES):
            return folder
    folder = tmp_path_factory.mktemp("mnist")
    for part, count in (("train", 60000), ("t10k", 10000)):
        # 15.25 % of the pixels are 218, the others 0: mean 0.1304, deviation 0.3074
        bright = torch.arange(count * 784).mul_(7919).remainder_(10000) < 1525
        write_idx(folder / f"{part}-images-idx3-ubyte", (bright.byte() * 218).reshape(count, 28, 28))
        write_idx(folder / f"{part}-labels-idx1-ubyte", torch.arange(count).remainder(10).byte())
    return folder


def all_of(loader):
    images, labels = zip(*loader, strict=True)
    return torch.cat(images), torch.cat(labels)


@pytest.fixture
def server(tmp_path):
    """A real web server over a folder of its own; gives the folder, the URL and what was asked for."""
    folder, asked = tmp_path / "www", []
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, message, *values):
            asked.append(self.path)

    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=web.serve_forever, args=(0.01,))
    thread.start()
    yield folder, f"http://127.0.0.1:{web.server_port}/", asked
    web.shutdown()
    thread.join()
    web.server_close()


def served(folder, *urls):
    """A subclass whose files come from *urls*, with the checksums of what is in *folder*."""
    sums = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in FILES}
    return type("Served", (MNIST,), {"mirrors": urls, "checksums": sums})


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("below", ["", "MNIST/raw"])
def test_files_are_found_packed_or_not_in_the_root_or_where_torchvision_keeps_them(tmp_path, below, suffix):
    write_mnist(tmp_path / below, suffix)
    data = MNIST(tmp_path, val_size=10)

    data.prepare_data()
    data.setup()

    assert {name: len(split) for name, split in data.splits.items()} == {"train": 50, "val": 10, "test": 20}


def test_fashion_mnist_is_kept_in_a_folder_of_its_own_name(tmp_path):
    write_mnist(tmp_path / "FashionMNIST/raw")
    data = FashionMNIST(tmp_path, val_size=10)

    data.prepare_data()
    data.setup("test")

    assert len(data.splits["test"]) == 20
    assert FashionMNIST.checksums != MNIST.checksums


def test_training_and_validation_share_no_image_and_hold_all(tmp_path):
    write_mnist(tmp_path)
    data = MNIST(tmp_path, val_size=10)
    data.setup("fit")

    train, val = all_of(data.train_dataloader())[1], all_of(data.val_dataloader())[1]

    assert sorted(train.tolist() + val.tolist()) == list(range(60))
    assert val.tolist() != list(range(50, 60))


def test_the_split_depends_on_its_own_seed_alone(tmp_path):
    write_mnist(tmp_path)

    def validation(global_seed, **options):
        torch.manual_seed(global_seed)
        data = MNIST(tmp_path, val_size=10, **options)
        data.setup("validate")
        return all_of(data.val_dataloader())[1].tolist()

    assert validation(1) == validation(2)
    assert validation(1) != validation(1, split_seed=5)


def test_pixels_are_scaled_and_normalised(tmp_path):
    write_mnist(tmp_path, "")
    raw = torch.frombuffer(bytearray((tmp_path / "t10k-images-idx3-ubyte").read_bytes()[16:]), dtype=torch.uint8)
    scaled = raw.reshape(20, 1, 28, 28).float() / 255

    normal, plain = MNIST(tmp_path), MNIST(tmp_path, normalize=False)
    normal.setup("test")
    plain.setup("test")

    images, labels = all_of(normal.test_dataloader())
    assert torch.equal(images, (scaled - 0.1307) / 0.3081)
    assert torch.equal(all_of(plain.test_dataloader())[0], scaled)
    assert labels.dtype == torch.int64
    assert labels.tolist() == list(range(20))


def test_a_test_run_does_not_need_the_training_files(tmp_path):
    write_mnist(tmp_path)
    for name in FILES[:2]:
        (tmp_path / name).unlink()
    data = MNIST(tmp_path)

    data.setup("test")

    assert data.splits.keys() == {"test"}


def test_what_is_missing_is_downloaded_once(tmp_path, server):
    folder, url, asked = server
    write_mnist(folder)
    data = served(folder, url)(tmp_path / "root", val_size=10)

    data.prepare_data()
    data.prepare_data()
    data.setup("fit")

    assert len(asked) == 4
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == sorted(FILES)
    assert len(data.splits["train"]) == 50


def test_a_second_mirror_is_asked_when_the_first_has_nothing(tmp_path, server):
    folder, url, _ = server
    write_mnist(folder)
    data = served(folder, url + "gone/", url)(tmp_path / "root")

    data.prepare_data()

    assert (tmp_path / "root" / FILES[0]).is_file()


def test_a_download_with_a_wrong_checksum_is_refused_and_not_kept(tmp_path, server):
    folder, url, _ = server
    write_mnist(folder)
    data = served(folder, url)(tmp_path / "root")
    (folder / FILES[0]).write_bytes(b"something else")

    with pytest.raises(ConfigurationError, match="MD5 hash of downloaded file"):
        data.prepare_data()

    assert not (tmp_path / "root" / FILES[0]).exists()


def test_without_a_network_one_error_names_files_folder_and_remedy(tmp_path, server):
    folder, _, _ = server
    write_mnist(folder)
    nobody = "http://127.0.0.1:9/"  # the discard port: nothing listens there
    data = served(folder, nobody)(tmp_path / "root")

    with pytest.raises(ConfigurationError) as caught:
        data.prepare_data()

    message = str(caught.value)
    assert all(name in message for name in FILES)
    assert str(tmp_path / "root") in message
    assert "Put them there by hand" in message
    assert "data.root=" in message
    assert nobody in message


def test_setup_without_the_files_says_what_to_do(tmp_path):
    with pytest.raises(ConfigurationError, match=r"t10k-images-idx3-ubyte.gz is neither in .* Call prepare_data"):
        MNIST(tmp_path).setup("test")


def test_images_and_labels_of_different_data_sets_are_refused(tmp_path):
    write_mnist(tmp_path)
    write_idx(tmp_path / FILES[1], torch.zeros(7, dtype=torch.uint8))

    with pytest.raises(ConfigurationError, match=r"do not belong together.*\(60, 28, 28\) and \(7,\)"):
        MNIST(tmp_path).setup("fit")


def test_a_validation_split_of_everything_is_refused(tmp_path):
    write_mnist(tmp_path)

    with pytest.raises(ConfigurationError, match="val_size=5000, but there are 60"):
        MNIST(tmp_path).setup("fit")


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("val_size", 0), ("val_size", 0.1)])
def test_a_value_that_cannot_be_meant_is_refused_by_name(tmp_path, name, value):
    with pytest.raises(ConfigurationError, match=f"MNIST was given {name}={value}"):
        MNIST(tmp_path, **{name: value})


def test_the_full_data_set_is_split_55000_5000_10000_and_comes_out_normal(full_size):
    data = MNIST(full_size)

    data.prepare_data()
    data.setup()

    images, labels = data.splits["train"].__getitems__(range(20000))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 55000, "val": 5000, "test": 10000}
    assert images.mean().item() == pytest.approx(0.0, abs=0.01)
    assert images.std().item() == pytest.approx(1.0, abs=0.01)
    assert labels.unique().tolist() == list(range(10))
