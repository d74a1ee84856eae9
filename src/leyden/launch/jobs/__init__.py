"""What is known about a job, and what can be done about it, whoever started it.

    files                     leyden.runs.record, logs/                         last_words
      then squeue             one call for all jobs, at most every few seconds  questions
      then sacct              only for what neither has explained               questions
        ─► standing           one word and a reason                             leyden.launch.status, listing
        ─► why                why it stopped, waits, was not requeued           why: stopped, pending, requeue

Everything but `questions` is a function of files and of answers. A job is changed in two
places: `cancelling` ends it, `retrying` hands it to its launcher once more.
"""
