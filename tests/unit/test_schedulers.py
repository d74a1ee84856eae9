"""A warm-up rises in a line, a cosine falls to its floor, and both survive a restart."""

import pickle

import pytest
import torch

from leyden.errors import ConfigurationError
from leyden.schedulers import cosine_warmup


def rates(count, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = cosine_warmup(optimizer, **options)
    seen = []
    for _ in range(count):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine_to_its_floor():
    seen = rates(10, warmup_steps=3, total_steps=7, min_factor=0.1)

    assert seen[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert seen[5] == pytest.approx(2.0 * (0.1 + 0.9 / 2))
    assert seen[7:] == pytest.approx([0.2, 0.2, 0.2])


def test_without_an_end_the_full_rate_stays():
    assert rates(5, warmup_steps=1) == pytest.approx([1.0, 2.0, 2.0, 2.0, 2.0])


def test_the_schedule_survives_pickling():
    scheduler = cosine_warmup(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), 3, 7)

    curve = pickle.loads(pickle.dumps(scheduler.lr_lambdas[0]))

    assert curve == scheduler.lr_lambdas[0]


def test_the_schedule_can_be_restored_by_torchs_safe_loading(tmp_path):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torch.save(cosine_warmup(optimizer, 3, 7).state_dict(), tmp_path / "state")

    restored = cosine_warmup(optimizer, 1)
    restored.load_state_dict(torch.load(tmp_path / "state", weights_only=True))

    assert vars(restored.lr_lambdas[0]) == {"warmup_steps": 3, "total_steps": 7, "min_factor": 0.1}


@pytest.mark.parametrize(
    "options",
    [{"warmup_steps": -1}, {"warmup_steps": 5, "total_steps": 5}, {"warmup_steps": 0, "min_factor": 1.5}],
)
def test_a_schedule_that_is_no_curve_is_refused(options):
    with pytest.raises(ConfigurationError, match="cosine_warmup was given"):
        rates(1, **options)
