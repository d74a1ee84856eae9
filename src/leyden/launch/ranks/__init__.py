"""A run on several ranks of this machine, started by torch's elastic agent in this process.

leyden train trainer.devices=2 ─► run directory ─► agent ─┬─► python -m leyden.run DIR    rank 0: this terminal
leyden run DIR                                            └─► python -m leyden.run DIR    rank 1: logs/rank1.out

agent      starts the ranks, notices how they end, starts them again; passes signals on
starting   what the agent is told, and what it needs to know of the run
ending     how it ended: the rank it was due to, the exit code, what is written down
report     what a rank that fails leaves for whoever has started it
"""

from leyden.launch.ranks.starting import Options, check_machines, start

__all__ = ["Options", "check_machines", "start"]
