"""On two ranks the same module gives the same numbers under Lightning's DDP and under ours, bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))

from cases import CASES
from distributed_cases import DISTRIBUTED_CASES

REFUSED_BY_BOTH = "steps_that_return_nothing"


@pytest.fixture(scope="module")
def differences(tmp_path_factory):
    """What differs, by rank and case; all cases run in one pair of ranks, as importing Lightning takes a while."""
    folder = tmp_path_factory.mktemp("parity")
    script = Path(__file__).with_name("parity_on_ranks.py")
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script), str(folder)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((folder / f"rank{rank}.json").read_text("utf-8")) for rank in (0, 1)]


@pytest.mark.parametrize("name", [*CASES, *DISTRIBUTED_CASES])
def test_both_ranks_are_left_with_the_same_numbers(differences, name):
    found = [differences[rank][name] for rank in (0, 1)]

    if name == REFUSED_BY_BOTH:
        assert all(each.startswith("both raised") for each in found)
    else:
        assert found == [None, None]
