"""Walls against the config of a stranger: what it may call, where it may write and send, and what it may read."""

from __future__ import annotations

from tests.mutations.wall import Wall

ATTACKS = "tests/hostile/test_config_gate.py::test_a_hostile_config_is_refused"
GATE = "tests/hostile/test_config_gate.py"
LIST = "tests/hostile/test_allow_list.py"
IMPORTS = "tests/hostile/test_import_wall.py"
HOSTILE = "tests/unit/test_hostile.py"

CALLED = [
    Wall(
        "a target is on the list or the user's own",
        "config/judge.py",
        "if not callable(found) or not _is_permitted(found, trust):",
        "if not callable(found):",
        f"{ATTACKS}[a method that writes]",
    ),
    Wall(
        "what was defined in a private module is refused",
        "config/harmless.py",
        'not (is_public(module) and is_public(name)) or "." in name',
        '"." in name',
        f"{LIST}::test_what_passes_is_public_where_it_was_defined",
    ),
    Wall(
        "what only says that it is from torch is refused",
        "config/harmless.py",
        "if not leads_there(module) or getattr(sys.modules.get(module), name, None) is not found:",
        "if not leads_there(module):",
        f"{LIST}::test_what_only_says_that_it_is_from_torch_does_not_pass",
    ),
    Wall(
        "functions of torch are on the list one by one",
        "config/harmless.py",
        "return functions or name in _FUNCTIONS.get(module, ())",
        "return True",
        f"{LIST}::test_what_calls_imports_or_opens_what_it_is_given_does_not_pass",
    ),
    Wall(
        "classes of torch are of a harmless kind",
        "config/harmless.py",
        "kind = any(below(module, home) and issubclass(found, kinds) for home, kinds in _kinds())",
        "kind = any(below(module, home) for home, kinds in _kinds())",
        f"{LIST}::test_what_calls_imports_or_opens_what_it_is_given_does_not_pass",
    ),
    Wall(
        "classes of ours are those that are offered",
        "config/harmless.py",
        'return kind and (not below(module, "leyden") or _is_exported(module, name))',
        "return kind",
        f"{LIST}::test_what_calls_imports_or_opens_what_it_is_given_does_not_pass[leyden.strategies.sharded.Sharded]",
    ),
    Wall(
        "an operation on tensors does not write",
        "config/harmless.py",
        "return operation and is_public(name) and name not in _WRITES",
        "return operation and is_public(name)",
        f"{LIST}::test_what_calls_imports_or_opens_what_it_is_given_does_not_pass[torch.from_file]",
    ),
    Wall(
        "a metric that downloads a model is refused",
        "config/harmless.py",
        "return leads and not fetches and is_public(module)",
        "return leads and is_public(module)",
        f"{ATTACKS}[a metric that loads a model]",
    ),
    Wall(
        "a partial of the user's own is what it calls",
        "config/judge.py",
        "return _is_permitted(found.func, trust)",
        "return True",
        f"{HOSTILE}::test_what_a_module_of_ones_own_has_imported_is_not_ones_own",
    ),
    Wall(
        "a node has no keys that Hydra would read",
        "config/judge.py",
        "wrong = list(_keys(node, path))",
        "wrong: list[Problem] = []",
        f"{ATTACKS}[a key that Hydra would read one day]",
    ),
    Wall(
        "a module that is neither trusted nor the user's own is not imported",
        "config/judge.py",
        "raise ConfigurationError(_foreign(target, name, spec, trust))",
        "return",
        f"{HOSTILE}::test_a_package_installed_below_the_project_is_not_the_users_own",
    ),
    Wall(
        "a package cannot be trusted whole if only parts of it are harmless",
        "config/trust.py",
        "if root in sys.stdlib_module_names or root in _NEVER:",
        "if False:",
        f"{HOSTILE}::test_what_cannot_be_trusted_is_refused",
    ),
    Wall(
        "what is installed below the project is not the user's own",
        "config/trust.py",
        "if self.project is None or is_installed(file) or is_installed(real):",
        "if self.project is None:",
        f"{HOSTILE}::test_a_package_installed_below_the_project_is_not_the_users_own",
    ),
    Wall(
        "a link in the project that leads into the run is not the user's own",
        "config/trust.py",
        "and not file.is_relative_to(self.strange) and not real.is_relative_to(self.strange)",
        "and not file.is_relative_to(self.strange)",
        f"{GATE}::test_code_behind_a_link_into_the_run_is_not_the_users_own",
    ),
    Wall(
        "a directory that calls itself a project is none",
        "config/trust.py",
        "if not found.is_relative_to(directory):",
        "if True:",
        f"{HOSTILE}::test_a_directory_that_calls_itself_a_project_is_none",
    ),
    Wall(
        "a directory does not take the place of a package",
        "config/trust.py",
        "if taken or first == self.directory:",
        "if False:",
        f"{HOSTILE}::test_a_directory_named_like_a_package_does_not_take_its_place",
    ),
]

IMPORTED = [
    Wall(
        "nothing is imported from below a stranger's directory",
        "config/import_wall.py",
        "if not bad:",
        "if True:",
        f"{IMPORTS}::test_it_is_refused",
    ),
    Wall(
        "the hook stands in front of all other finders",
        "config/import_wall.py",
        "sys.meta_path[:] = [_WALL, *(each for each in sys.meta_path if each is not _WALL)]",
        "sys.meta_path.append(_WALL)",
        f"{IMPORTS}::test_it_is_refused",
    ),
    Wall(
        "a link does not lead around the hook",
        "config/import_wall.py",
        "real = os.path.realpath(place)",
        "real = os.path.abspath(place)",
        f"{IMPORTS}::test_it_is_refused",
    ),
    Wall(
        "a directory that is dealt with gets the hook",
        "config/trust.py",
        "refuse_imports_from([self.directory, self.strange], self.folders)",
        "pass",
        f"{IMPORTS}::test_a_directory_that_is_dealt_with_gets_the_wall",
    ),
    Wall(
        "nothing is imported from beside the run either",
        "config/trust.py",
        "refuse_imports_from([self.directory, self.strange], self.folders)",
        "refuse_imports_from([self.directory], self.folders)",
        f"{IMPORTS}::test_what_was_unpacked_beside_it_is_refused_as_well",
    ),
]

BOUND = [
    Wall(
        "positional arguments get the names of their parameters",
        "config/arguments.py",
        "return [*_positional(found, list(given)), *keywords]",
        "return keywords",
        f"{ATTACKS}[a logger by position]",
    ),
    Wall(
        "more positional arguments than there are parameters are refused",
        "config/arguments.py",
        "return bool(_parameters(found)) and any(not argument.name for argument in given)",
        "return False",
        f"{ATTACKS}[a logger by more positions than it has]",
    ),
    Wall(
        "what another target builds is no text",
        "config/places.py",
        'yield Problem(path, f"is {_told(value)}, and where that leads cannot be told. Expected a text")',
        "return",
        f"{ATTACKS}[a checkpoint folder that a text builds]",
    ),
    Wall(
        "what is called later is not called with a path that was not judged",
        "config/places.py",
        'if node.get("_partial_") and guarded and _home(found) != _CALLED_BY_US:',
        "if False:",
        f"{ATTACKS}[a logger that is called later with a path]",
    ),
    Wall(
        "arguments of our classes are judged by the parameter they become",
        "config/places.py",
        'elif place is not None and not (argument.name == "root" and _is_complete(found, argument.value, base)):',
        "elif False:",
        f"{ATTACKS}[a page of another account]",
    ),
    Wall(
        "what goes on to another library is on a list",
        "config/places.py",
        "if further is not None and argument.name not in further:",
        "if False:",
        f"{ATTACKS}[TensorBoard with an unknown argument]",
    ),
    Wall(
        "a key that means a folder everywhere is judged wherever it stands",
        "config/places.py",
        "yield from _below(value, key, base, trust, ours=key in _GROUPS)",
        "yield from ()",
        f"{HOSTILE}::test_a_path_that_leads_out_of_the_directory_is_refused[model__deep]",
    ),
]

WRITTEN = [
    Wall(
        "what a run writes lies in its directory",
        "config/places.py",
        "real = _real(path, base)\n    return real.is_relative_to(trust.directory) or trust.reaches(real)",
        "return True",
        f"{ATTACKS}[a checkpoint folder that a path builds]",
    ),
    Wall(
        "an address is no folder of the run",
        "config/places.py",
        'if "://" in path or _SCHEME.match(path):',
        "if False:",
        f"{GATE}::test_an_address_is_no_folder_of_the_run_even_to_who_stands_in_it",
    ),
    Wall(
        "a name does not lead out of its folder",
        "config/places.py",
        """or ".." in value.replace("\\\\", "/").split("/"):""",
        ":",
        f"{ATTACKS}[a checkpoint name by position]",
    ),
    Wall(
        "a name is no absolute path",
        "config/places.py",
        """if os.path.isabs(value) or "\\0" in value or ".." in""",
        """if "\\0" in value or ".." in""",
        f"{ATTACKS}[a checkpoint name that is an absolute path]",
    ),
    Wall(
        "a name has no width of a million letters",
        "config/places.py",
        "if _WIDE.search(value) else None",
        "if False else None",
        f"{ATTACKS}[a checkpoint name that is wider than the memory]",
    ),
    Wall(
        "the folder of the code is none that came with the run",
        "config/places.py",
        "if found is not None and not _may_be_entered(found, trust):",
        "if False:",
        f"{HOSTILE}::test_a_folder_that_only_the_manifest_names_is_not_asked_about_its_code",
    ),
]

SENT = [
    Wall(
        "results go to no server that is not trusted",
        "config/places.py",
        'if found.scheme not in ("", "file", "sqlite") or found.netloc or "?" in address or "#" in address:',
        'if "?" in address or "#" in address:',
        f"{ATTACKS}[a server with the path of the run]",
    ),
    Wall(
        "results go to no host among files",
        "config/places.py",
        'not in ("", "file", "sqlite") or found.netloc or "?"',
        'not in ("", "file", "sqlite") or "?"',
        f"{ATTACKS}[a host among files with the path of the run]",
    ),
    Wall(
        "records are kept in the run, or in a database on the way to it",
        "config/places.py",
        "return all(not _SCHEME.match(each) and _may_be_kept(each, base, trust) for each in readings)",
        "return True",
        f"{ATTACKS}[MLflow's files in another folder]",
    ),
    Wall(
        "a hosted server is one",
        "config/places.py",
        "if _STRANGE.search(address) or address in _HOSTED:",
        "if _STRANGE.search(address):",
        f"{GATE}::test_an_address_is_no_folder_of_the_run_even_to_who_stands_in_it[a hosted server]",
    ),
    Wall(
        "a path is read as a server would read it",
        "config/places.py",
        "readings = {written, unquote(written)}",
        "readings = {written}",
        f"{ATTACKS}[MLflow's files out of the run behind percent signs]",
    ),
    Wall(
        "an address within an address is judged",
        "config/places.py",
        "all(not _SCHEME.match(each) and _may_be_kept(each, base, trust) for each in readings)",
        "all(_may_be_kept(each, base, trust) for each in readings)",
        f"{ATTACKS}[MLflow's database in a file named like an address]",
    ),
    Wall(
        "a database has the name of one",
        "config/places.py",
        "return _DATABASE.search(real.name) is not None and real.parent in above",
        "return real.parent in above",
        f"{ATTACKS}[MLflow's database with the name of a module]",
    ),
    Wall(
        "a database lies on the way to the run",
        "config/places.py",
        "return _DATABASE.search(real.name) is not None and real.parent in above",
        "return _DATABASE.search(real.name) is not None",
        f"{ATTACKS}[MLflow's database in another run]",
    ),
    Wall(
        "results go to no page of another account",
        "config/places.py",
        'if value == os.environ.get("WANDB_ENTITY") or trust.covers(_ADDRESS + value):',
        "if True:",
        f"{ATTACKS}[a page of another account]",
    ),
    Wall(
        "a trusted address is that of one server",
        "config/trust.py",
        "if (asked.scheme, asked.netloc) == (each.scheme, each.netloc) and below:",
        "if asked.netloc.startswith(each.netloc) and below:",
        f"{GATE}::test_what_only_looks_like_it_does_not",
    ),
    Wall(
        "a trusted address is not left by dots",
        "config/trust.py",
        'if ".." in parts:',
        "if False:",
        f"{GATE}::test_what_only_looks_like_it_does_not[https://mlflow.example.org/team]",
    ),
    Wall(
        "a trusted address ends at a slash",
        "config/trust.py",
        'asked.path.startswith(f"{trusted}/")',
        "asked.path.startswith(trusted)",
        f"{GATE}::test_what_only_looks_like_it_does_not[https://mlflow.example.org/tea]",
    ),
]

READ = [
    Wall(
        "files of the user are not read",
        "config/places.py",
        "return inside or real.is_relative_to(trust.directory) or trust.reaches(real)",
        "return True",
        f"{ATTACKS}[a device that never ends]",
    ),
    Wall(
        "variables of the user are not read",
        "config/lookups.py",
        "elif not meant and name not in trust.variables:",
        "elif False:",
        f"{ATTACKS}[a variable in the name of the run]",
    ),
    Wall(
        "nothing is looked up by other resolvers",
        "config/lookups.py",
        'if "$" in rest or "\\\\" in text:',
        'if "\\\\" in text:',
        f"{ATTACKS}[a variable that another resolver names]",
    ),
    Wall(
        "no target is a variable, and no path of the run",
        "config/lookups.py",
        'if first == "paths" or last.startswith("_") or',
        "if",
        f"{GATE}::test_a_trusted_variable_decides_neither_on_code_nor_on_paths",
    ),
    Wall(
        "a default refers to nothing else",
        "config/lookups.py",
        'or (default and "${" in default and not meant):',
        ":",
        f"{GATE}::test_the_default_of_a_trusted_variable_is_plain",
    ),
    Wall(
        "what a variable holds is not looked up once more",
        "config/lookups.py",
        'elif found is BROKEN or (isinstance(found, str) and "${" in found):',
        "elif found is BROKEN:",
        f"{GATE}::test_what_a_variable_holds_is_not_looked_up_again",
    ),
]

WALLS = [*CALLED, *IMPORTED, *BOUND, *WRITTEN, *SENT, *READ]
