"""The loop of a queue: start what there is room for, notice what has ended, pass signals on.

    waiting ─► a slot and enough GPUs are free ─► a process of its own ─► ended: how, its files tell

    Ctrl-C, SIGTERM, SIGHUP    nothing more is started; every run gets the signal once, saves at a step and ends
    once more                  every run stops at once, and goes on from its last checkpoint later
    a third time               every run is killed

One run's end never touches another. A queue that is itself killed leaves its runs running; the next one
finds and watches them: `leyden.launch.local.following`.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from leyden.launch.local import share
from leyden.launch.local.record import QueueRecord, deleted, existing, held
from leyden.launch.local.screen import Screen
from leyden.launch.local.standing import Standing, cancelled, code_of, put_back, standing
from leyden.launch.local.worker import Found, Worker, log_of
from leyden.processes import signals
from leyden.ranks import processors
from leyden.runs.directory import RunDirectory
from leyden.runs.execution import COMPOSED
from leyden.runs.record import job
from leyden.runs.record.moments import now
from leyden.runs.record.state import RunState

_PAUSE = 0.1  # seconds between two looks at the processes


class Queue:
    """Executes runs, a few at a time.

    Args:
        record: Directories and options; written down as the queue goes on.
        screen: Shows what happens.
        hashes: Of configs that were composed on the command line that started the queue, by directory.
        trusted: What other configs may name.
        again: Run those that have failed once more, too.
        devices: Names of the GPUs to lend; None for those that this process was shown.

    Raises:
        ConfigurationError: If a run asks for what this machine cannot lend.
    """

    def __init__(
        self,
        record: QueueRecord,
        screen: Screen,
        hashes: Mapping[Path, str] | None = None,
        trusted: Sequence[str] = (),
        again: bool = True,
        devices: Sequence[str] | None = None,
    ) -> None:
        self.record, self.screen, self.trusted, self.hashes = record, screen, tuple(trusted), dict(hashes or {})
        self.directories = existing(record.directories)
        self.leases = share.Leases(share.visible_devices() if devices is None else devices)
        needs = [self._need(each) for each in self.directories] if self.leases.devices else []
        self.slots = record.options.slots or share.default_slots(needs, len(self.leases.devices), processors())
        over = (RunState.FINISHED,) if again else (RunState.FINISHED, RunState.FAILED)
        self.waiting = deque(each for each in self.directories if standing(each).state not in over)
        if not again:
            self.waiting = deque(each for each in self.waiting if not cancelled(each))
        self.at_once = max(1, min(self.slots, len(self.waiting)))  # runs that share the processors
        self.running: list[Worker | Found] = []
        self.stopped_by: int | None = None
        self._reasons: dict[Path, str] = {}

    def run(self) -> int:
        """Run the queue to its end, or until a signal stops it.

        Returns:
            0 if all runs have finished, 1 if not, 128 + n if signal n stopped the queue before they had.

        Raises:
            RunError: If another process runs it.
        """
        with held(self.record.folder), signals.collected() as asked, self.screen:
            self._take_over()
            while self.running or (self.waiting and self.stopped_by is None):
                self._heed(asked)
                self._notice()
                if self.stopped_by is None:
                    self._fill()
                self.screen.show(self.standings, self.slots)
                time.sleep(_PAUSE)
        found = self.standings()
        self.screen.summary(found, deleted(self.record.directories))
        code = code_of([each for _, each in found])
        if code and self.stopped_by is not None:
            self.screen.say(f"go on with:  leyden queue {self.screen.shown(self.record.folder)}")
            return 128 + self.stopped_by
        return code

    def standings(self) -> list[tuple[RunDirectory, Standing]]:
        """Return how each run stands."""
        return [(each, self._standing(each)) for each in self.directories]

    def _standing(self, directory: RunDirectory) -> Standing:
        return standing(directory, self._reasons.get(directory.path, ""))

    def _need(self, directory: RunDirectory) -> share.Need:
        return share.need(directory.config(), len(self.leases.devices), self.record.options.gpus_per_job)

    def _take_over(self) -> None:
        """Write down whose the runs are now, and find those that are under way."""
        for number, directory in enumerate(self.waiting):
            if standing(directory).state is RunState.RUNNING:
                self._watch(directory)
                continue
            put_back(directory)
            record = job.JobRecord(job.LOCAL, self._id(number), str(self.record.folder), str(log_of(directory)))
            job.write(directory.path, record)
        for each in self.running:
            self.waiting.remove(each.directory)
        self._write()

    def _id(self, number: int) -> str:
        return f"{os.getpid()}_{number}"

    def _is_ours(self, directory: RunDirectory) -> bool:
        """Whether nobody has taken the run out of this queue, or given it to another."""
        mine = job.read(directory.path).queue_pid == os.getpid()
        return mine and not cancelled(directory)

    def _heed(self, asked: list[signal.Signals]) -> None:
        """Pass on the signals that have arrived since."""
        while asked:
            signum = asked.pop(0)
            times = self.screen.stopping(signum)
            self.stopped_by = self.stopped_by or signum
            for each in self.running:
                if times > 2:
                    each.kill()
                else:
                    each.send(signal.SIGINT if times == 2 else signum)

    def _notice(self) -> None:
        """Find out which processes have ended."""
        for each in [one for one in self.running if one.code is not None]:
            self.running.remove(each)
            self.leases.give_back(each.devices)
            found = standing(each.directory)
            if found.state is RunState.RUNNING:  # another process had begun it before ours could
                self._watch(each.directory)
                continue
            self._settle(each, found)
            self.screen.ended(each.directory, self._standing(each.directory))
            self._write()

    def _settle(self, ended: Worker | Found, found: Standing) -> None:
        """Keep what only the parent of a process knows: which signal killed it, or that it never began.

        One that was killed before it began is interrupted, like one that is killed later: the next queue runs it.
        """
        code, directory = ended.code or 0, ended.directory
        if code < 0:
            self._reasons[directory.path] = f"killed by {_name(-code)}"
        if found.state is not RunState.QUEUED or self.stopped_by is not None:
            return
        if code < 0:
            directory.update(
                status=RunState.INTERRUPTED, ended=now(), error=f"killed by {_name(-code)} before the run began"
            )
        else:
            self._fail(directory, f"its process ended before the run began, by exit code {code}")

    def _fail(self, directory: RunDirectory, error: str) -> None:
        log = log_of(directory).relative_to(directory.path)
        directory.update(status=RunState.FAILED, ended=now(), error=f"{error}: see {log}")

    def _fill(self) -> None:
        """Start what there is room for, in order: a run that needs many GPUs is not overtaken for ever."""
        while self.waiting and len(self.running) < self.slots:
            directory = self.waiting[0]
            if deleted([directory.path]):
                self.waiting.popleft()
                self.screen.say(f"passed over  {self.screen.shown(directory.path)}: it was deleted")
                continue
            found = standing(directory)
            if found.state is RunState.RUNNING:
                self.waiting.popleft()
                self._watch(directory)
            elif found.state is RunState.FINISHED or not self._is_ours(directory):
                self.waiting.popleft()
                self.screen.passed_over(directory, found)
            elif not self._start(directory):
                return

    def _start(self, directory: RunDirectory) -> bool:
        """Start one run, if the GPUs it needs are free."""
        wants = self._need(directory)
        devices = self.leases.take(wants.gpus)
        if devices is None:
            return False
        self.waiting.popleft()
        part = processors() // self.at_once
        variables = share.variables(wants, devices, len(self.leases.devices), part, os.environ)
        if directory.path in self.hashes:
            variables[COMPOSED] = self.hashes[directory.path]
        try:
            self.running.append(Worker(directory, variables, self.trusted, devices))
        except OSError as error:
            self.leases.give_back(devices)
            self._fail(directory, f"its process could not be started: {error.filename} {error.strerror}")
            self.screen.ended(directory, self._standing(directory))
            return True
        self.screen.started(directory, devices)
        self._write()
        return True

    def _watch(self, directory: RunDirectory) -> None:
        devices = self.record.devices.get(directory.path, [])
        self.leases.claim(devices)
        self.running.append(Found(directory, devices))
        self.screen.found(directory)

    def _write(self) -> None:
        self.record.devices = {each.directory.path: list(each.devices) for each in self.running}
        self.record.write()


def _name(signum: int) -> str:
    return signal.Signals(signum).name if signum in set(signal.Signals) else f"signal {signum}"
