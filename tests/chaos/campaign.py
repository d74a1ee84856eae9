"""Trials of one scenario after the other, until enough processes were killed."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos import project
from tests.chaos.comparing import differences
from tests.chaos.moments import Moments
from tests.chaos.processes import Ended, Starter, Strike
from tests.chaos.scenarios import Scenario

_AGAIN = 0.6  # probability that a resume is killed, too
_DEEPEST = 5  # kills of one run
_ANEW = 0.1  # share of the commands that are new interpreters
_TRIES = 12  # commands until a run has to be finished


@dataclass
class Difference:
    """A run that did not end as if nobody had disturbed it.

    Args:
        scenario: Of the run.
        trial: Its number, which with the seed of the campaign gives the same moments again.
        strikes: When it was killed.
        said: What differs, beginning with the file.
        kept: Its folder.
    """

    scenario: str
    trial: int
    strikes: list[Strike]
    said: list[str]
    kept: Path


@dataclass
class Tally:
    """What became of the trials of one scenario."""

    trials: int = 0
    by_clock: int = 0
    chosen: int = 0
    resumes: int = 0
    resumes_killed: int = 0
    anew: int = 0
    kinds: set[str] = field(default_factory=set)
    differences: list[Difference] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """How many processes, or groups of them, were killed."""
        return self.by_clock + self.chosen


class Bench:
    """Where the trials of one scenario happen.

    Args:
        scenario: What is run.
        starter: Starts the reference run.
        folder: For the sandboxes.
        seed: Of the campaign.
        only: Part of the names of the moments that count.
    """

    def __init__(self, scenario: Scenario, starter: Starter, folder: Path, seed: int, only: str | None = None) -> None:
        self.scenario, self.folder, self.seed = scenario, folder / scenario.name, seed
        self.tally = Tally()
        self.place = self.folder / "project"  # where each of them runs
        self.reference = self.folder / "reference"
        self.moments = self._undisturbed(starter, only)

    def trial(self, starter: Starter) -> list[Difference]:
        """Run once, with kills, and compare what it came to; returns the difference, if there is one."""
        number = self.tally.trials
        self.tally.trials += 1
        rng = random.Random(f"{self.seed}/{self.scenario.name}/{number}")
        project.write(self.place)
        strikes: list[Strike] = []
        said = self._until_finished(starter, rng, strikes)
        if not said and (lingering := starter.left(None, self._tag(), self.place)):
            said = [lingering]
        said = said or list(differences(self.reference / "runs", self.place / "runs"))
        if not said:
            shutil.rmtree(self.place)
            Starter.output(self.place).unlink()
            return []
        kept = self._put_aside(self.folder / f"trial-{number}")
        found = Difference(self.scenario.name, number, strikes, said, kept)
        self.tally.differences.append(found)
        return [found]

    def _undisturbed(self, starter: Starter, only: str | None) -> Moments:
        """Make the reference run, and return the moments in it."""
        journal = self.folder / "journal"
        project.write(self.place)
        done = starter.run(self.scenario.words, self.place, self._tag(), None, journal)
        if done.code or done.problem:
            said = Starter.output(self.place).read_text()[-3000:]
            raise RuntimeError(f"{self.scenario.name}: the undisturbed run has failed: {done}\n{said}")
        self._put_aside(self.reference)
        return Moments(journal, done.seconds, only)

    def _put_aside(self, place: Path) -> Path:
        self.place.rename(place)
        Starter.output(self.place).rename(Starter.output(place))
        return place

    def _until_finished(self, starter: Starter, rng: random.Random, strikes: list[Strike]) -> list[str]:
        """Begin the run, and go on with it until it is finished; returns what must not happen on the way."""
        begun = False
        for _ in range(_TRIES):
            kill = len(strikes) < _DEEPEST and (not strikes or rng.random() < _AGAIN)
            strike = self.moments.draw(rng, self.scenario.victims) if kill else None
            anew = rng.random() < _ANEW
            words = self.scenario.resume if begun else self.scenario.words
            ended = starter.run(words, self.place, self._tag(), strike, anew=anew, waits=not self.scenario.several)
            self._count(ended, strike, begun, anew)
            if ended.struck and strike is not None:
                strikes.append(strike)
            if ended.problem:
                return [f"leyden {words[0]}: {ended.problem}"]
            if ended.code == 0 and strikes:
                return []
            if ended.code == 0:  # the moment never came
                shutil.rmtree(self.place)
                project.write(self.place)
                begun = False
                continue
            if not ended.struck:
                tail = Starter.output(self.place).read_text()[-400:]
                return [f"leyden {' '.join(words)} has failed with exit code {ended.code}: {tail!r}"]
            begun = self._is_there()
        return [f"not finished after {_TRIES} commands"]

    def _is_there(self) -> bool:
        if not self.scenario.several:
            return (self.place / "runs" / "run" / "config.yaml").exists()
        if any(self.place.glob("runs/sweep/queue*/queue.json")):
            return True
        shutil.rmtree(self.place / "runs", ignore_errors=True)  # a person starts another multirun, by another name
        return False

    def _count(self, ended: Ended, strike: Strike | None, resume: bool, anew: bool) -> None:
        self.tally.resumes += resume
        self.tally.anew += anew
        if not ended.struck or strike is None:
            return
        self.tally.resumes_killed += resume
        if strike.kind is None:
            self.tally.by_clock += 1
        else:
            self.tally.chosen += 1
            self.tally.kinds.add(strike.kind)

    def _tag(self) -> str:
        return f"chaos:{self.folder}:{self.tally.trials}:end"
