"""Walls against losses: what a checkpoint holds, what is taken back, and what is done when a process ends."""

from __future__ import annotations

from tests.mutations.wall import Wall

RESUME = "tests/unit/test_exact_resume.py"
CHECKPOINTS = "tests/unit/test_run_checkpoints.py"
KILLS = "tests/unit/test_kills_while_saving.py"
POLICY = "tests/unit/test_requeue_policy.py::test_the_policy_decides_as_the_table_says"
PARTS = "tests/unit/test_checkpoint_parts.py"
PART = f"{PARTS}::test_a_run_whose_checkpoint_is_not_what_it_should_be_says_which_part_of_which_file"
SUPERVISOR = "tests/unit/test_supervisor.py"

STATE = [
    Wall(
        "gradients that wait are in a checkpoint",
        "engine/checkpoint.py",
        '"gradients": trainer.strategy.gradients(module) if waiting else {},',
        '"gradients": {},',
        f"{RESUME}::test_gradients_wait_in_checkpoints_between_two_updates",
    ),
    Wall(
        "gradients that wait between two manual steps are in a checkpoint",
        "engine/checkpoint.py",
        "waiting = progress.pending > 0 or not module.automatic_optimization",
        "waiting = progress.pending > 0",
        f"{RESUME}::test_gradients_wait_in_checkpoints_between_two_updates[manual]",
    ),
    Wall(
        "gradients that wait are taken back",
        "engine/checkpoint.py",
        '        trainer.strategy.load_gradients(session.module, place["gradients"])\n',
        "",
        f"{RESUME}::test_resuming_from_any_checkpoint_equals_the_uninterrupted_run",
    ),
    Wall(
        "random numbers go on",
        "engine/checkpoint.py",
        'trainer._resumed_rng = place["rng"]',
        "pass",
        f"{RESUME}::test_resuming_from_any_checkpoint_equals_the_uninterrupted_run",
    ),
    Wall(
        "loaders go on",
        "engine/checkpoint.py",
        'trainer._resumed_loader = place["loader"]\n    with part',
        "with part",
        f"{RESUME}::test_resuming_from_any_checkpoint_equals_the_uninterrupted_run",
    ),
    Wall(
        "half an epoch's metrics are taken back",
        "engine/checkpoint.py",
        'session.metrics.load_state_dict(place["metrics"], session.module)',
        "pass",
        f"{RESUME}::test_resuming_from_any_checkpoint_equals_the_uninterrupted_run",
    ),
    Wall(
        "a validation that is going on leaves no trace in a checkpoint",
        "engine/checkpoint.py",
        '"rng": before["rng"] if before else rng.capture(),',
        '"rng": rng.capture(),',
        f"{RESUME}::test_a_signal_in_the_middle_of_a_step_is_obeyed_between_two_and_loses_nothing",
    ),
    Wall(
        "what a wrapper of torchmetrics keeps is in a checkpoint",
        "metric_objects.py",
        'return {"attributes": attributes(holder, before), "children": list(holder._modules)}',
        'return {"attributes": {}, "children": list(holder._modules)}',
        "tests/unit/test_metric_states.py::test_a_metric_goes_on_within_an_epoch_as_if_nothing_had_happened[MinMaxMetric]",
    ),
    Wall(
        "a tracker gets the metrics back that it has made",
        "metric_objects.py",
        'holder.add_module(name, deepcopy(holder._modules["_base_metric"]))',
        "pass",
        "tests/unit/test_metric_states.py::test_a_metric_goes_on_within_an_epoch_as_if_nothing_had_happened[MetricTracker]",
    ),
    Wall(
        "testing the best checkpoint does not take over its fingerprint",
        "runs/fingerprint.py",
        "if not self.resumed or self._begun:",
        "if not self.resumed:",
        "tests/unit/test_fingerprint.py::test_testing_the_best_checkpoint_leaves_the_fingerprint_of_a_resumed_run_as_it_is",
    ),
    Wall(
        "a save that waits for a validation waits in a resumed run",
        "callbacks/model_checkpoint.py",
        'self._deferred = state_dict.get("deferred", False)',
        "pass",
        f"{RESUME}::test_a_save_that_waits_for_a_validation_waits_in_a_resumed_run_as_well",
    ),
    Wall(
        "what has lost its place is deleted by the run that goes on",
        "callbacks/model_checkpoint.py",
        '"rest": self._rest.state_dict(),',
        "",
        f"{KILLS}::test_a_run_that_was_killed_while_it_saved_leaves_what_an_undisturbed_one_leaves",
    ),
    Wall(
        "where fewer are to be kept, the worst are deleted",
        "callbacks/model_checkpoint.py",
        "            self._rest.delete.append(worst)\n",
        "",
        "tests/unit/test_model_checkpoint.py::test_a_resumed_run_that_is_to_keep_fewer_deletes_the_worst",
    ),
]

UPDATES = [
    Wall(
        "an optimizer takes as many batches as its frequency says",
        "engine/step.py",
        "if place < frequency:",
        "if place <= frequency:",
        f"{RESUME}::test_optimizers_take_as_many_batches_in_a_row_as_their_frequency_says",
    ),
    Wall(
        "another batch size in the middle of an epoch is refused",
        "engine/continuing.py",
        "if before.get(key, now[key]) != now[key]:",
        "if False:",
        "tests/unit/test_continuing.py::test_another_batch_size_or_data_set_is_refused_in_the_middle_of_an_epoch_and_taken_at_its_end",
    ),
    Wall(
        "what training has changed of an optimizer is not taken for what was typed",
        "engine/schedules.py",
        "typed.append(changed if before is not None else set())",
        "typed.append(set(here))",
        "tests/unit/test_continuing.py::test_with_the_same_settings_a_run_goes_on_bit_for_bit_and_nothing_is_said",
    ),
    Wall(
        "a file is ranked by the validation of its own step",
        "callbacks/epoch_ends.py",
        "return trainer.validation_before_update and any(trainer.num_val_batches)",
        "return False",
        "tests/unit/test_counters.py::test_a_file_has_the_score_of_the_validation_of_its_step_wherever_there_is_one",
    ),
    Wall(
        "a scheduler is stepped as often as its frequency says",
        "engine/optimization.py",
        'done = progress.windows if interval == "step" else progress.epochs + 1',
        'done = progress.batch if interval == "step" else progress.epochs',
        "tests/unit/test_counters.py::test_a_frequency_counts_updates_over_the_whole_fit",
    ),
    Wall(
        "what is logged after a manual step belongs to the training step",
        "engine/step.py",
        "    session.metrics.hook, done = hook, session.progress.updates\n",
        "    done = session.progress.updates\n",
        f"{RESUME}::test_what_is_logged_after_a_manual_step_belongs_to_the_training_step_again",
    ),
    Wall(
        "gradients that are on no CPU are clipped by torch's own factor",
        "engine/step.py",
        "torch._foreach_mul_(gradients, torch.clamp(largest / (total + 1e-6), max=1.0))",
        "torch._foreach_mul_(gradients, torch.clamp(largest / total, max=1.0))",
        "tests/unit/test_clipping.py::test_clipping_by_norm_equals_torch",
    ),
    Wall(
        "the factor of gradients on other devices stays there",
        "engine/step.py",
        "if not total.is_cpu or total.dtype is not torch.float32:",
        "if total.dtype is not torch.float32:",
        "tests/unit/test_clipping.py::test_the_factor_of_gradients_on_another_device_is_not_fetched",
    ),
]

DAMAGED = [
    Wall(
        f"{what} of a checkpoint is checked",
        "contents.py",
        text,
        instead,
        f"{PART}[{row}]",
    )
    for what, text, instead, row in (
        ("a counter", "type(value) is int and value >= 0)", "True)", "leyden.progress.batch a text"),
        ("the sign of a counter", "type(value) is int and value >= 0)", "type(value) is int)",
         "leyden.progress.updates a negative number"),
        ("the place within an epoch",
         'lambda value: value in ("BATCH", "TRAINED", "LOGGED", "VALIDATED", "EPOCH_ENDED"),', "lambda value: True,",
         "leyden.progress.place another place"),
        ("a time", "type(value) in (int, float) and math.isfinite(value) and value >= 0", "type(value) in (int, float)",
         "leyden.progress.seconds not a number"),
        ("the kind of a part", "if not kind.fits(value):", "if False:", "state_dict a text"),
        ("a part that must be there", "            if key not in value:", "            if False:",
         "leyden.progress.batch missing"),
    )
]  # fmt: skip

NEWEST = [
    Wall(
        "a part of a checkpoint that was emptied is refused",
        "engine/extent.py",
        "lost = not isinstance(then, int) or here < then",
        "lost = False",
        "tests/unit/test_checkpoint_parts.py::test_a_part_that_was_emptied_is_refused_by_name_or_the_run_ends_as_it_would_have",
    ),
    Wall(
        "the newest last checkpoint is what the files of a run say",
        "recency.py",
        "if len(runs) != 1 or None in runs:",
        "if True:",
        "tests/unit/test_recency.py",
    ),
    Wall(
        "a last checkpoint that is damaged is passed over",
        "recency.py",
        "if problem := _problem(path, check_whole):",
        "if problem := None:",
        "tests/unit/test_recency.py",
    ),
    Wall(
        "the newest checkpoint is the one that says so, not the one the disk names last",
        "runs/checkpoints.py",
        "return sorted(found, key=lambda each: each.key), damaged",
        "return sorted(found, key=lambda each: each.path.stat().st_mtime), damaged",
        f"{CHECKPOINTS}::test_the_newest_checkpoint_is_the_one_that_says_so_whatever_the_clock_says",
    ),
    Wall(
        "a later attempt is newer than a further step of an earlier one",
        "identity.py",
        '        _count(said.get("attempt")),\n',
        "",
        f"{CHECKPOINTS}::test_a_later_attempt_is_newer_than_a_further_step_of_an_earlier_one",
    ),
    Wall(
        "leftovers of a killed process are swept",
        "runs/execution.py",
        "    leftovers.sweep(directory.path)\n",
        "",
        f"{KILLS}::test_a_run_that_goes_on_has_swept_what_a_killed_process_left",
    ),
    Wall(
        "what a living process writes is not swept",
        "runs/leftovers.py",
        "return writer == os.getpid() or not alive(writer, None)",
        "return True",
        f"{KILLS}::test_leftovers_go_and_nothing_else",
    ),
    Wall(
        "files are flushed before they get their names",
        "atomic.py",
        "            os.fsync(file.fileno())\n",
        "",
        "tests/unit/test_atomic.py::test_a_file_is_flushed_before_it_gets_its_name_and_its_folder_afterwards",
    ),
    Wall(
        "a file is written beside its place",
        "atomic.py",
        "scratch, handle = _scratch(target)",
        "scratch, handle = target, os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)",
        "tests/unit/test_atomic.py",
    ),
]

REQUEUED = [
    Wall(
        "a run is requeued as often as its limit says, and no more",
        "launch/requeue.py",
        "ended.requeued >= self.limit:",
        "ended.requeued > self.limit:",
        f"{POLICY}[at the limit]",
    ),
    Wall(
        "a run is requeued as often as its limit says, and no less",
        "launch/requeue.py",
        "ended.requeued >= self.limit:",
        "ended.requeued + 1 >= self.limit:",
        f"{POLICY}[below the limit]",
    ),
    Wall(
        "a run is given up after as many stalled attempts as its limit says",
        "launch/requeue.py",
        "stalled and stalled >= self.stalled_limit:",
        "stalled and stalled > self.stalled_limit:",
        f"{POLICY}[stalled twice of two]",
    ),
    Wall(
        "a run is not given up after fewer stalled attempts",
        "launch/requeue.py",
        "stalled and stalled >= self.stalled_limit:",
        "stalled and stalled + 1 >= self.stalled_limit:",
        f"{POLICY}[stalled once of two]",
    ),
    Wall(
        "GPUs are given back when a run ends",
        "launch/local/queue.py",
        "            self.leases.give_back(each.devices)\n",
        "",
        "tests/journeys/test_queue_ends.py::test_gpus_are_given_back_when_a_run_ends_however_it_does[0]",
    ),
    Wall(
        "GPUs are given back when a run cannot be started",
        "launch/local/queue.py",
        "            self.leases.give_back(devices)\n",
        "",
        "tests/journeys/test_queue_ends.py::test_gpus_are_given_back_when_a_run_ends_however_it_does[0]",
    ),
    Wall(
        "a line of setup that fails ends the job",
        "launch/slurm/parameters.py",
        'return ["set -e", f',
        "return [f",
        "tests/unit/test_slurm_script.py::test_a_line_of_setup_that_fails_ends_the_job_before_the_run[false]",
    ),
    Wall(
        "children end when their starter is killed",
        "processes/lifeline.py",
        "    threading.Thread(target=_wait",
        "    return\n    threading.Thread(target=_wait",
        f"{SUPERVISOR}::test_children_end_when_their_supervisor_is_killed[saves]",
    ),
    Wall(
        "children that do not end after the grace are killed",
        "processes/lifeline.py",
        "    time.sleep(grace)\n",
        "    return\n",
        f"{SUPERVISOR}::test_children_end_when_their_supervisor_is_killed[ignores the signal]",
    ),
    Wall(
        "a closed terminal is a signal to save",
        "processes/signals.py",
        "STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)",
        "STOPPING = (signal.SIGINT, signal.SIGTERM)",
        "tests/unit/test_signals.py::test_every_signal_is_collected_and_handlers_are_restored",
    ),
    Wall(
        "a hangup that is ignored stays ignored",
        "processes/signals.py",
        "each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN)",
        "True)",
        "tests/unit/test_signals.py::test_a_hangup_that_is_ignored_stays_ignored",
    ),
]

WALLS = [*STATE, *UPDATES, *DAMAGED, *NEWEST, *REQUEUED]
