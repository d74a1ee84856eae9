"""The files that say how a run stands: the only place that reads or writes them.

    status.json      how it stands, written by what executes it       status
    attempts.jsonl   how each attempt ended, a line each              attempts
    job.json         which job of which launcher it was given to      job
                     ─► is a run that says "running" still there?     liveness
                     ─► all of that about one run                     files

The words for states are `state.RunState`, and stand nowhere else. Nothing here trusts a file: one that is missing,
damaged, too large or of another shape is told as such, never as an exception.
"""
