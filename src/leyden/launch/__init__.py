"""Run directories handed to something that executes them: the queue of this machine, or a cluster.

    launcher   Launcher.start(directories) -> exit code    the contract; `batch_folder`, where a launcher keeps its own
    payload    what every job executes: ``python -m leyden.run DIR``
    job        job.json in a run directory: which job of which launcher it was given to
    local/     N slots on this machine
    slurm/     job arrays on a cluster

A launcher is given directories and nothing else: no config is composed, no object is built and
nothing is pickled on the way to the process that trains.
"""
