"""Walls around other processes, jobs, queues and runs: whose they are is never what a directory says."""

from __future__ import annotations

from tests.mutations.wall import Wall, hostile

ORIGIN = "tests/unit/test_origin.py"
CHECKPOINTS = "tests/unit/test_run_checkpoints.py"
RETRYING = "tests/unit/test_jobs_retrying.py"

WALLS = [
    # --- processes and jobs ----------------------------------------------------------------
    Wall(
        "only a process that holds the lock executes a run",
        "runs/lock.py",
        "return said.pid if _holds(said.pid, path) else None",
        "return said.pid",
        hostile("a bystander is said to execute the run, its lock a file with its number", "jobs cancel"),
    ),
    Wall(
        "a process holds a run only by the very file of its lock",
        "runs/lock.py",
        'if os.path.samestat(os.stat(f"/proc/{pid}/fd/{number}"), lock):',
        "if True:",
        "tests/unit/test_run_locks.py::test_a_process_that_holds_another_lock_does_not_execute_the_run",
    ),
    Wall(
        "a file that is open is not locked by that",
        "runs/lock.py",
        'return "FLOCK" in file.read(10_000)',
        "return True",
        "tests/unit/test_run_locks.py::test_a_process_that_has_only_opened_the_lock_does_not_execute_the_run",
    ),
    Wall(
        "a lock that has another name belongs to another run",
        "runs/lock.py",
        "if found.st_nlink != 1:",
        "if False:",
        "tests/unit/test_run_locks.py::test_the_lock_of_another_run_is_that_of_none",
    ),
    Wall(
        "a group of processes is no process",
        "runs/record/liveness.py",
        "if pid <= 0:",
        "if False:",
        "tests/unit/test_record_liveness.py::test_a_process_that_cannot_be_is_gone",
    ),
    Wall(
        "a process that began after the run is another one",
        "runs/record/liveness.py",
        "return began is not None and (started is None or began <= started + _SLACK)",
        "return began is not None",
        "tests/unit/test_record_liveness.py::test_a_process_that_began_after_the_run_is_another_one",
    ),
    Wall(
        "a job is ended only if it is that of the run",
        "launch/jobs/cancelling.py",
        "if id_ and not is_job_of(job.path, job.files.job):",
        "if False:",
        hostile("a job of the user's own is named", "jobs cancel"),
    ),
    Wall(
        "a job prints into the folder of its submission",
        "launch/jobs/ownership.py",
        'slurm_queries.details(record.slurm_id).get("StdOut") != str(log.path)',
        "False",
        hostile("a job of the user's own is named in a submission that came along", "jobs cancel"),
    ),
    Wall(
        "a job executes the run that was submitted under its number",
        "launch/jobs/ownership.py",
        'return _text(path) in regular.read(log.folder, f"{batch}/{record.slurm_id}_submitted.pkl", _LARGEST)',
        "return True",
        hostile("a job of the user's own is named whose folder lies above", "jobs cancel"),
    ),
    Wall(
        "no longer path passes for that of a run",
        "launch/jobs/ownership.py",
        'return b"\\x8c" + bytes([len(name)]) + name if len(name) < 256 else',
        "return name if len(name) < 256 else",
        hostile("a job of the user's own is named whose run has a longer name", "jobs cancel"),
    ),
    # --- queues and launchers -----------------------------------------------------------------
    Wall(
        "a queue holds runs that lie beside it",
        "launch/local/record.py",
        "if not path.is_relative_to(folder.parent) or not Path(os.path.realpath(path)).is_relative_to(folder.parent):",
        "if False:",
        hostile("a queue names a run of the user's own by its path", "queue"),
    ),
    Wall(
        "a queue does not lead to other runs by a link",
        "launch/local/record.py",
        "or not Path(os.path.realpath(path)).is_relative_to(folder.parent):",
        "or False:",
        "tests/unit/test_local_queue_record.py::test_a_queue_leads_to_no_run_elsewhere",
    ),
    Wall(
        "a stranger's queue executes no run of the user's own",
        "launch/local/record.py",
        "if own is not None:",
        "if False:",
        hostile("a queue lies beside all runs of the user's own", "queue ROOT"),
    ),
    Wall(
        "options of a launcher were written by the user's own launch",
        "launch/jobs/launchers.py",
        "if not beside or not origin.matches(batch, {FILE: content}):",
        "if not beside:",
        hostile("launcher.json says setup", "jobs retry"),
    ),
    Wall(
        "options of a launcher are those of a launch that the run lies beside",
        "launch/jobs/launchers.py",
        "if not beside or not origin.matches(batch, {FILE: content}):",
        "if not origin.matches(batch, {FILE: content}):",
        f"{RETRYING}::test_options_of_another_launch_of_ones_own_are_not_taken",
    ),
    # --- whose a run is ---------------------------------------------------------------------
    Wall(
        "a run is the user's own as long as its config is the same",
        "runs/origin.py",
        "return bool(parts) and all(known.get(name) == found for name, found in _hashes(parts).items())",
        "return bool(parts) and bool(known)",
        f"{ORIGIN}::test_it_is_no_longer_once_it_is[edited]",
    ),
    Wall(
        "a record of origin is that of the place",
        "runs/origin.py",
        'return dict(record["parts"]) if record["path"] == _real(folder) else {}',
        'return dict(record["parts"])',
        f"{ORIGIN}::test_it_is_no_longer_once_it_is[with_the_record_of_another]",
    ),
    Wall(
        "code is the user's own as long as commit and patch are the same",
        "runs/origin.py",
        "return is_own(path) and matches(path, _code(path, code))",
        "return is_own(path)",
        f"{ORIGIN}::test_another_commit_or_another_patch_is_not_what_was_recorded",
    ),
    Wall(
        "recorded code is executed only if it is the user's own",
        "runs/reproduction.py",
        "own = isinstance(state, Mapping) and origin.is_own_code(original.path, state)",
        "own = isinstance(state, Mapping)",
        "tests/unit/test_reproduction_records.py::test_code_that_no_launch_of_ones_own_has_recorded_is_not_executed",
    ),
    Wall(
        "only the user's own config is executed without being judged",
        "runs/guard.py",
        "    if is_own(directory.path):\n        trust.take_for_own()",
        "    if True:\n        trust.take_for_own()",
        "tests/hostile/test_config_gate.py::test_a_hostile_config_is_refused[a module of the run]",
    ),
    Wall(
        "a config is judged",
        "runs/guard.py",
        'admit(used, trust, f"the config of {directory.path}", _of_manifest(directory))',
        "pass",
        "tests/hostile/test_config_gate.py::test_a_hostile_config_is_refused[a module of the run]",
    ),
    Wall(
        "a checkpoint of another run is refused",
        "runs/checkpoints.py",
        "    _refuse_foreign(directory, found, run)\n",
        "",
        f"{CHECKPOINTS}::test_a_checkpoint_of_another_seed_is_refused_by_name[run-foreign.ckpt]",
    ),
    Wall(
        "a checkpoint of another run is refused where it is named itself",
        "runs/checkpoints.py",
        "        _refuse_foreign(directory, [found], _identity(directory))\n",
        "        pass\n",
        f"{CHECKPOINTS}::test_a_checkpoint_of_another_run_is_refused_where_it_is_named_itself",
    ),
]
