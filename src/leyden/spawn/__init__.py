"""``Trainer(devices=4).fit(...)`` in a script, at a prompt or in a notebook starts the ranks itself.

    this process                                        4 ranks, each a process of its own
    trainer.fit(model) ─► cargo: trainer, model, data ─► fit, as one of 4
                       ◄─ handover: weights, metrics, state of the callbacks, results    (of rank 0)

The program is not run again: functions and classes that were defined in the script or at the prompt
travel by value, so that no ``if __name__ == "__main__":`` is needed. The ranks begin with the random
numbers, variables and settings of this process: the same bits come out as of `torchrun` of the same script.
This process never touches an accelerator.

    starting    what the caller waits in          cargo      what travels there, what cannot, and where it is
    rank        what a rank does                  handover   what travels back

The ranks are children of `leyden.processes.supervisor`: they stop when the caller does, however it ends.
"""

from leyden.spawn.starting import start

__all__ = ["start"]
