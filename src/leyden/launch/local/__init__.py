"""The queue of this machine: a few runs at a time, each in a process of its own.

launcher   LocalQueue, what ``hydra/launcher=local`` is; in the foreground, or detached
queue      the loop: start, forward signals, notice ends
worker     one run's process: words, variables, log
share      what a run is lent: GPUs, and a part of the processors
record     queue.json and the lock, by which others see the queue and go on with it
standing   how a run of the queue stands, from its files
screen     the table on a terminal, lines elsewhere
following  what ``leyden queue DIR`` does: watch a queue that runs, or go on with one that ended
"""
