"""Worker processes that outlive a pass over their loader, and how a resumed run gets the same ones.

With ``persistent_workers`` torch starts the workers in the first pass only: it draws their seed once, and their
random numbers go on from pass to pass. A resumed run has to start them anew in a later pass, without drawing a seed,
and to set their random numbers to what they were:

    capture   at the start of a pass, and between two   seed, and of each worker the states of its generators
    restore   in the resumed run                        start workers with that seed, tell each its states, and let
                                                        torch begin the pass as one of theirs

Between two batches a worker waits for a message. Ours does its work while it is unpickled and then raises what torch
takes for "no message yet", so that nothing else happens in the worker: it fetches nothing, and no data set is asked.

States travel as bytes, both ways. Tensors as such would be shared: a thread of this process would serve their files,
and could hold a lock (that of `tempfile`, say) just when the next workers are forked, which then wait for it for ever.

Kept are Python's, NumPy's and torch's global generators in each worker, and those the data set has as attributes.
Whatever else a data set changes about itself inside a persistent worker (a counter, a buffer) is lost with the worker.
"""

from __future__ import annotations

import copy
import pickle
import queue
from collections.abc import Callable
from multiprocessing import current_process
from multiprocessing.connection import Client, Listener, wait
from typing import Any

import torch
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from leyden import rng
from leyden.engine.generators import data_sets, generators_of, set_states, states_of

_PATIENCE = 1.0  # seconds between two looks at whether the workers that have not answered are alive


def capture(loader: Any) -> dict[str, Any] | None:
    """Return the seed of the workers of *loader* and the states of their generators, behind what they were told so far.

    Returns:
        None if there are no workers that stay, or none yet.
    """
    iterator = _persistent(loader)
    return None if iterator is None else {"seed": iterator._base_seed, "states": _asked(iterator)}


def restore(loader: Any, state: dict[str, Any] | None) -> None:
    """Give *loader* workers in a *state* that `capture` returned, in the place of those it has."""
    if not _stay(loader):
        return
    vars(loader)["_iterator"] = None
    if state is None or len(state["states"]) != loader.num_workers:
        return
    with rng.isolated():
        iterator = _StartedAgain(loader, state["seed"])
    for worker, each in enumerate(state["states"]):
        iterator._index_queues[worker].put(_Errand(_set, pickle.dumps(each)))
    vars(loader)["_iterator"] = iterator


def _stay(loader: Any) -> bool:
    return isinstance(loader, DataLoader) and loader.persistent_workers and loader.num_workers > 0


def _persistent(loader: Any) -> Any:
    iterator = loader._iterator if _stay(loader) else None
    return iterator if isinstance(iterator, _MultiProcessingDataLoaderIter) and not iterator._shutdown else None


class _StartedAgain(_MultiProcessingDataLoaderIter):
    """The workers of a loader with a seed that was drawn before; they have fetched nothing yet.

    Args:
        loader: Its iterator is what this becomes.
        seed: Workers get this and the numbers that follow it.
    """

    def __init__(self, loader: Any, seed: int) -> None:
        self._seed = seed
        nothing = copy.copy(loader)
        name = "sampler" if loader.batch_sampler is None else "batch_sampler"
        vars(nothing).update({name: (), "generator": torch.Generator(), "_iterator": None})
        super().__init__(nothing)
        self._index_sampler = loader._index_sampler

    @property
    def _base_seed(self) -> int:
        return self._seed

    @_base_seed.setter
    def _base_seed(self, drawn: int) -> None:
        """Take no other seed."""


class _Errand:
    """What a worker does when it unpickles this in the place of a message.

    Args:
        function: Called in the worker.
        *arguments: What it is given.
    """

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
        self._call = (function, *arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return _run, self._call


def _run(function: Callable[..., None], *arguments: Any) -> None:
    """Run an errand in a worker.

    Raises:
        queue.Empty: Always: to torch's loop there was no message.
    """
    function(*arguments)
    raise queue.Empty


def _asked(iterator: Any) -> list[dict[str, Any]]:
    """Return the states of all workers' generators, as they are behind what the workers have been asked for so far."""
    since = (iterator._sampler_iter, iterator._send_idx)  # as long as these stay, the workers are asked for nothing
    known = vars(iterator).get("_states")
    if known is not None and known[0][0] is since[0] and known[0][1] == since[1]:
        return list(known[1])
    found: dict[int, dict[str, Any]] = {}
    with Listener(backlog=iterator._num_workers, authkey=bytes(current_process().authkey)) as listener:
        for worker, errands in enumerate(iterator._index_queues):
            errands.put(_Errand(_answer, listener.address, worker))
        while len(found) < iterator._num_workers:
            if not wait([listener._listener._socket], _PATIENCE):  # type: ignore[attr-defined]
                _check(iterator)
                continue
            with listener.accept() as connection:
                worker, state = connection.recv()
                found[worker] = pickle.loads(state)
    states = [found[worker] for worker in sorted(found)]
    iterator._states = (since, states)
    return list(states)


def _check(iterator: Any) -> None:
    dead = [str(worker.pid) for worker in iterator._workers if not worker.is_alive()]
    if dead:
        raise RuntimeError(f"DataLoader worker (pid(s) {', '.join(dead)}) exited unexpectedly")


def _answer(address: Any, worker: int) -> None:
    with Client(address, authkey=bytes(current_process().authkey)) as connection:
        state = {"rng": rng.capture(), "generators": states_of(_own_generators())}
        connection.send((worker, pickle.dumps(state)))


def _set(pickled: bytes) -> None:
    state = pickle.loads(pickled)
    rng.restore(state["rng"])
    set_states(_own_generators(), state["generators"])


def _own_generators() -> list[Any]:
    info = get_worker_info()
    return generators_of(data_sets(None if info is None else info.dataset))
