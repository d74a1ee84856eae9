"""Asked to stop before its first step, while it validates or while it tests, a run goes on to the same result."""

import json

import pytest

from tests.holding import MOMENTS, RUN, is_held, make_project, result
from tests.journeys.command import leyden, only_run, start, wait_until


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a run comes to that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    make_project(folder)
    leyden(folder, "train", *RUN)
    return result(only_run(folder))


@pytest.mark.parametrize("moment", MOMENTS)
def test_stopped_by_sigterm_it_goes_on_to_the_same_result(moment, whole, tmp_path):
    make_project(tmp_path)
    process = start(tmp_path, "train", *RUN, f"callbacks.hold.moment={moment}")
    wait_until(lambda: any(map(is_held, tmp_path.glob("runs/*/*"))), process)
    run = only_run(tmp_path)

    process.terminate()
    process.wait(timeout=120)
    stopped = json.loads((run / "status.json").read_text())
    said = (tmp_path / "err.txt").read_text()
    leyden(tmp_path, "run", str(run))

    assert (process.returncode, stopped["status"]) == (143, "interrupted")
    assert "checkpoints are off" not in said
    assert ("it begins anew" in said) == (moment in ("start", "sanity"))
    assert result(run) == whole
