"""Of several processes that are given one run at the same moment, one executes it and the others are refused."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier

from tests.chaos import project
from tests.chaos.comparing import differences
from tests.chaos.processes import Starter, Strike
from tests.chaos.scenarios import SCENARIOS

_STARTS = 3
_LOAD = 2  # processes that do nothing but keep the processors busy


def begun(starter, place):
    """Make a run in *place* that is killed when it is about to train."""
    project.write(place)
    strike = Strike("group", "mark on_train_start")
    assert starter.run(SCENARIOS[0].words, place, f"two-starts:{place}:end", strike).struck


def test_one_executes_it_and_the_others_say_who_does(tmp_path):
    words, tag = SCENARIOS[0].resume, f"two-starts:{tmp_path}:end"
    place, together = tmp_path / "project", Barrier(_STARTS)
    with ExitStack() as stack:
        starters = [stack.enter_context(Starter()) for _ in range(_STARTS)]
        begun(starters[0], place)
        starters[0].run(words, place, tag, None)
        place.rename(tmp_path / "reference")
        begun(starters[0], place)
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(_LOAD)]

        def start(starter):
            together.wait()
            return starter.run(words, place, tag, None, waits=False).code

        with ThreadPoolExecutor(_STARTS) as pool:
            codes = sorted(pool.map(start, starters))
        for each in busy:
            each.kill()
            each.wait()
    said = starters[0].output(place).read_text()

    assert codes[0] == 0
    assert set(codes) <= {0, 2}
    assert said.count("is being executed by process") == codes.count(2)
    assert json.loads((place / "runs" / "run" / "status.json").read_text())["attempts"] == 2
    assert list(differences(tmp_path / "reference" / "runs", place / "runs")) == []
