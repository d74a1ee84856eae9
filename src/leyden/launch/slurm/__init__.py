"""Run directories as jobs of a SLURM cluster, several as elements of an array, submitted through submitit.

    options      what one may ask for: the keys of ``hydra.launcher``
    parameters   the same in submitit's words
    script       the batch script, to be shown, tried or submitted
    limits       how many elements an array may have here, and how many jobs there may be
    submission   scripts, pickles and logs in one folder; sbatch; job.json into each run directory
    payload      what submitit calls in the job: it becomes ``python -m leyden.run DIR`` at once
    freezing     a copy of the code, for jobs that must not see what is edited while they wait
    launcher     all of that in order, and a table of what was submitted
    waiting      until all have ended

Nothing of the user's is pickled: a job is given the path of its run directory, and what it is to
do stands there.
"""
