"""Walls against what stands in the place of the files of a run: links, pipes, devices, files of a terabyte."""

from __future__ import annotations

from tests.mutations.wall import Wall, hostile

REGULAR = "tests/unit/test_regular.py"
GATE = "tests/unit/test_runs_gate.py"
SHARDED = "tests/unit/test_sharded_index.py"
CHECKPOINTS = "tests/unit/test_run_checkpoints.py"
RECORDS = "tests/unit/test_reproduction_records.py"
HOSTILE = "tests/unit/test_hostile.py"

WALLS = [
    # --- one file is opened -------------------------------------------------------------
    Wall(
        "a link in the place of a file is not followed",
        "regular.py",
        "_KIND = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC",
        "_KIND = os.O_NONBLOCK | os.O_CLOEXEC",
        f"{REGULAR}::test_what_is_no_file_is_not_opened[link-read]",
    ),
    Wall(
        "a pipe in the place of a file is not waited for",
        "regular.py",
        "_KIND = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC",
        "_KIND = os.O_NOFOLLOW | os.O_CLOEXEC",
        f"{REGULAR}::test_what_is_no_file_is_not_opened[pipe-read]",
    ),
    Wall(
        "what was opened is a regular file",
        "regular.py",
        "if not stat.S_ISREG(mode):\n        os.close(handle)",
        "if False:\n        os.close(handle)",
        f"{REGULAR}::test_what_is_no_file_is_not_opened[pipe-read]",
    ),
    Wall(
        "a file that is too large is not read",
        "regular.py",
        "if size > largest or len(content) > largest:",
        "if len(content) > largest:",
        f"{REGULAR}::test_a_file_that_is_too_large_is_not_read",
    ),
    Wall(
        "a file that has another name elsewhere is not written to",
        "regular.py",
        "if os.fstat(handle).st_nlink > 1:",
        "if False:",
        f"{REGULAR}::test_a_file_with_another_name_is_not_written_to[held]",
    ),
    Wall(
        "a folder on the way to a file is no link",
        "regular.py",
        "os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=at)",
        "os.open(part, _FOLDER, dir_fd=at)",
        f"{REGULAR}::test_no_folder_on_the_way_may_be_a_link[read]",
    ),
    Wall(
        "a folder that is written into is no link",
        "regular.py",
        "if not stat.S_ISDIR(path.lstat().st_mode):",
        "if not stat.S_ISDIR(path.stat().st_mode):",
        f"{REGULAR}::test_a_folder_is_made_or_refused[link_to_a_folder]",
    ),
    Wall(
        "a link is not listed as a file",
        "regular.py",
        "if each.is_file(follow_symlinks=False))",
        "if each.is_file())",
        f"{REGULAR}::test_links_are_neither_listed_nor_there",
    ),
    Wall(
        "a link is not taken for a file that is there",
        "regular.py",
        "return stat.S_ISREG(os.lstat(os.path.join(root, name)).st_mode)",
        "return stat.S_ISREG(os.stat(os.path.join(root, name)).st_mode)",
        f"{REGULAR}::test_links_are_neither_listed_nor_there",
    ),
    # --- every run directory, before anything else is done with it ---------------------------
    Wall(
        "a run directory cannot be had without the gate",
        "runs/directory.py",
        "gate.check(self.path)",
        "pass",
        f"{GATE}::test_a_run_directory_cannot_be_had_without_the_gate",
    ),
    Wall(
        "a link with the name of a file of a run is one that leads elsewhere, too",
        "regular.py",
        "mode = os.lstat(path).st_mode\n        except OSError:",
        "mode = os.stat(path).st_mode\n        except OSError:",
        f"{GATE}::test_a_run_directory_cannot_be_had_without_the_gate",
    ),
    Wall(
        "what has the name of a folder of a run is a folder",
        "regular.py",
        "if not (stat.S_ISDIR if name in folders else stat.S_ISREG)(mode):",
        "if name not in folders and not stat.S_ISREG(mode):",
        hostile("logs is a link to a folder", "runs show"),
    ),
    Wall(
        "a path with control characters is refused",
        "runs/gate.py",
        'if any(unicodedata.category(letter) == "Cc" for letter in name):',
        "if False:",
        f"{GATE}::test_a_path_with_control_characters_is_refused",
    ),
    Wall(
        "a link to a run somewhere else is no name of a run",
        "runs/gate.py",
        "if path.is_symlink() and not real.is_relative_to(path.parent.resolve()) and not _reaches(real, path.parent):",
        "if False:",
        f"{GATE}::test_a_link_out_of_its_folder_is_none_unless_it_leads_to_what_the_project_trusts",
    ),
    Wall(
        "a folder of a run is not looked into if it is a link to elsewhere",
        "runs/gate.py",
        "return not link.is_symlink() or _reaches(link.resolve(), path)",
        "return True",
        hostile("checkpoints is a link to those of the user", "runs show"),
    ),
    *(
        Wall(
            f"{name} is judged before anything else is done",
            "runs/gate.py",
            f'"{name}", ',
            "",
            hostile(f"{name} is a link to a file outside", "jobs cancel"),
        )
        for name in ("job.json", "losses.f64")
    ),
    # --- a run directory that is executed or moved: all below it ------------------------------
    Wall(
        "no link leads out of a run that is executed",
        "runs/guard.py",
        "_check_link(Path(entry.path), path, trust)",
        "pass",
        "tests/unit/test_guard_links.py::test_any_other_is_refused",
    ),
    Wall(
        "a run that is executed holds files and folders only",
        "runs/guard.py",
        "elif not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):",
        "elif False:",
        hostile("notes is a pipe", "predict"),
    ),
    Wall(
        "what is written in place has no other name elsewhere",
        "runs/guard.py",
        "elif stat.S_ISREG(found.st_mode) and found.st_nlink > 1 and entry.name.endswith(_WRITTEN_IN_PLACE):",
        "elif False:",
        hostile("metrics.csv is a hard link to a file outside", "run"),
    ),
    Wall(
        "a file of a gigabyte is refused before it is read",
        "runs/guard.py",
        "if file.is_file() and file.stat().st_size > largest:",
        "if False:",
        f"{HOSTILE}::test_a_file_of_a_gigabyte_is_refused_before_it_is_read",
    ),
    Wall(
        "JSON that has no bottom is refused",
        "runs/guard.py",
        'if name.endswith(".json") and file.is_file():',
        "if False:",
        f"{HOSTILE}::test_json_without_a_bottom_is_refused",
    ),
    Wall(
        "the depth of JSON is no traceback",
        "config/bounded.py",
        "except RecursionError:",
        "except KeyError:",
        f"{HOSTILE}::test_json_without_a_bottom_is_refused[result.json]",
    ),
    Wall(
        "YAML is not deeper than a config",
        "config/bounded.py",
        "if depth > DEEPEST:",
        "if False:",
        f"{HOSTILE}::test_a_config_that_is_no_plain_yaml_is_refused[depth]",
    ),
    Wall(
        "YAML holds no tags",
        "config/bounded.py",
        'if getattr(event, "tag", None) is not None:',
        "if False:",
        f"{HOSTILE}::test_a_config_that_is_no_plain_yaml_is_refused[a binary]",
    ),
    Wall(
        "YAML holds no aliases",
        "config/bounded.py",
        'if getattr(event, "anchor", None) is not None:',
        "if False:",
        f"{HOSTILE}::test_a_config_that_is_no_plain_yaml_is_refused[laughs]",
    ),
    Wall(
        "parts of a JSON file have their types",
        "runs/shapes.py",
        "if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):",
        "if False:",
        f"{RECORDS}::test_a_part_of_another_type_is_refused_by_name_and_says_nothing",
    ),
    Wall(
        "what should be numbers are numbers",
        "runs/shapes.py",
        "not isinstance(value, int | float) or (type",
        "(type",
        "tests/unit/test_verdict.py::test_a_metric_that_no_run_has_written_is_refused_by_name",
    ),
    Wall(
        "names of metrics are no commands for a terminal",
        "runs/guard.py",
        "name.isprintable() and isinstance(value, int | float)",
        "isinstance(value, int | float)",
        f"{HOSTILE}::test_metrics_that_are_commands_for_the_terminal_are_refused",
    ),
    # --- checkpoints ----------------------------------------------------------------------------
    Wall(
        "a checkpoint that expands is not read",
        "runs/archive.py",
        "if sum(each.file_size for each in inside) > size or any(each.compress_type",
        "if False and any(each.compress_type",
        f"{HOSTILE}::test_a_checkpoint_that_expands_is_not_read",
    ),
    Wall(
        "a file larger than the memory is not read",
        "integrity.py",
        "if found.st_size > _memory():",
        "if False:",
        f"{CHECKPOINTS}::test_what_is_no_file_of_a_checkpoint_is_refused_at_once[a terabyte-more than the memory]",
    ),
    Wall(
        "a pipe is no checkpoint",
        "integrity.py",
        "if not stat.S_ISREG(found.st_mode):",
        "if False:",
        f"{CHECKPOINTS}::test_what_is_no_file_of_a_checkpoint_is_refused_at_once[a pipe-it is a pipe]",
    ),
    Wall(
        "bytes of a checkpoint are those that were written",
        "integrity.py",
        "_check_record(archive, record, name)",
        "pass",
        "tests/unit/test_run_checkpoints.py::test_a_flipped_bit_in_any_tensor_is_found",
    ),
    Wall(
        "the checkpoint that a run goes on from is whole",
        "runs/checkpoints.py",
        "            check_whole(each.path)",
        "            pass",
        "tests/unit/test_run_checkpoints.py::test_a_damaged_checkpoint_is_named_and_the_one_before_is_used",
    ),
    Wall(
        "a checkpoint is looked at again once it has changed",
        "integrity.py",
        "if _seen.get(target) == known:",
        "if target in _seen:",
        "tests/unit/test_run_checkpoints.py::test_a_checkpoint_that_has_changed_is_compared_again",
    ),
    Wall(
        "the metadata of a sharded checkpoint executes nothing",
        "sharded_index.py",
        'if (module, name) in _PLAIN or (module == "torch" and name in _DTYPES):',
        "if True:",
        f"{SHARDED}::test_metadata_that_would_execute_something_is_refused",
    ),
    Wall(
        "a sharded checkpoint leads to no file elsewhere",
        "sharded_index.py",
        'if Path(name).name != name or getattr(place, "transform_descriptors", None):',
        "if False:",
        f"{SHARDED}::test_metadata_that_leads_out_of_the_folder_is_refused",
    ),
    Wall(
        "a tensor of a sharded checkpoint is not larger than what is stored of it",
        "sharded_index.py",
        "if needed > held[name]:",
        "if False:",
        f"{SHARDED}::test_metadata_of_a_tensor_that_would_fill_the_memory_is_refused",
    ),
    Wall(
        "a part of a sharded checkpoint does not expand",
        "sharded_index.py",
        "if sum(each.file_size for each in inside) > place.length or any(each.compress_type for each in inside):",
        "if False:",
        f"{SHARDED}::test_a_part_that_expands_is_refused",
    ),
]
