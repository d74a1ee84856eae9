"""IDX files are read as they declare themselves, and a bad one is refused by name."""

import gzip
import struct

import pytest
import torch

from leyden.datasets import read_idx
from leyden.errors import ConfigurationError


def header(code, *shape):
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


GOOD = header(0x08, 2, 3) + bytes(range(6))


def test_bytes_come_with_their_shape(tmp_path):
    (tmp_path / "a").write_bytes(GOOD)

    values = read_idx(tmp_path / "a")

    assert torch.equal(values, torch.arange(6, dtype=torch.uint8).reshape(2, 3))


@pytest.mark.parametrize("name", ["a.gz", "packed-without-the-suffix"])
def test_a_gzip_file_is_recognised_by_its_content(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(GOOD, mtime=0))

    assert read_idx(str(tmp_path / name)).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("code", "form", "dtype"),
    [
        (0x09, "b", torch.int8),
        (0x0B, "h", torch.int16),
        (0x0C, "i", torch.int32),
        (0x0D, "f", torch.float32),
        (0x0E, "d", torch.float64),
    ],
)
def test_every_type_is_brought_to_the_byte_order_of_the_machine(tmp_path, code, form, dtype):
    (tmp_path / "a").write_bytes(header(code, 2) + struct.pack(f">2{form}", -2, 100))

    values = read_idx(tmp_path / "a")

    assert values.dtype == dtype
    assert values.tolist() == [-2, 100]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "begins with the bytes \\(none\\)"),
        (b"<html>not found</html>", "is not an IDX file: it begins with the bytes 3c 68 74 6d"),
        (header(0x07, 2) + b"ab", "is not an IDX file"),
        (header(0x08, 2, 3)[:9], "ends within its header, after 9 of 12 bytes"),
        (GOOD[:-1], "holds 17 bytes.*which make 18"),
        (GOOD + b"x", "holds 19 bytes.*which make 18"),
        (gzip.compress(GOOD, mtime=0)[:-6], "damaged gzip file"),
        (gzip.compress(GOOD, mtime=0)[:12] + b"\xff\xff\xff\xff\xff\xff\xff\xff", "damaged gzip file"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_the_reason(tmp_path, content, complaint):
    (tmp_path / "bad-idx3").write_bytes(content)

    with pytest.raises(ConfigurationError, match=f"bad-idx3.*{complaint}"):
        read_idx(tmp_path / "bad-idx3")


def test_a_missing_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(ConfigurationError, match="nowhere does not exist"):
        read_idx(tmp_path / "nowhere")
