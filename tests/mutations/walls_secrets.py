"""Walls that keep secrets out of files, and commands for a terminal out of what is printed."""

from __future__ import annotations

from tests.mutations.wall import Wall, hostile

FORMS = "tests/unit/test_secret_forms.py"
WRITTEN = "tests/unit/test_secrets_written.py"
SECRETS = "tests/unit/test_secrets.py"
TERMINAL = "tests/unit/test_terminal.py"

SECRET = [
    *(
        Wall(
            f"a token of {issuer} is masked by its form",
            "secret_forms.py",
            f'"{stem}": r"',
            f'"{stem}": r"(?!)',
            f"{FORMS}::test_a_token_is_masked_by_its_form[{issuer}]",
        )
        for issuer, stem in {
            "Hugging Face": "hf_",
            "GitHub": "gh",
            "AWS": "akia",
            "JWT": "eyj",
            "age": "age-secret-key-",
        }.items()
    ),
    *(
        Wall(
            f"{what} is masked",
            "secret_forms.py",
            text,
            text.replace("(?P<secret>", "(?P<secret>(?!)"),
            f"{FORMS}::test_a_secret_is_masked_by_what_stands_around_it[{row}]",
        )
        for what, text, row in (
            ("a password in a URL", r"""r"://(?P<secret>""", "password in a URL"),
            ("a token in the place of a user", r"""r"https?://(?P<secret>""", "token in a URL"),
            ("a signature in a query string", r"""[?&;](?:{_QUERY})=(?P<secret>""", "sig="),
            ("a bearer token", r"""\b(?:bearer|token)(?:\s|%20)(?P<secret>""", "Bearer"),
            ("a bearer token of letters only", r"""\bbearer(?:\s|%20)(?P<secret>""", "Bearer, only letters"),
            ("a header", r"""(?:(?:bearer|basic|token|digest|apikey)(?:\s|%20))?(?P<secret>""", "X-Api-Key"),
            ("a password of .netrc", r"""\S{1,300}\s+){0,2}password\s+(?P<secret>""", ".netrc, no login"),
            ("a password of a login", r"""\s-[pPa]\s*(?P<secret>""", "docker login"),
            ("a user's password of curl", r"""[^\s:'\"]{1,100}:(?P<secret>""", "curl"),
            ("a signature for a storage account", r"""AccountSecret)=(?P<secret>""", "SharedAccessSignature"),
            ("a webhook", r"""hooks\.slack\.com/services/(?P<secret>""", "Slack, webhook"),
        )
    ),
]

SECRET += [
    Wall(
        "a private key is masked over all of its lines",
        "secrets.py",
        'if "PRIVATE KEY-----" in text:',
        "if False:",
        f"{FORMS}::test_a_private_key_is_masked_over_all_of_its_lines",
    ),
    Wall(
        "a name and a password in base64 are masked",
        "secrets.py",
        '(("basic",), _pairs_covered),',
        "",
        f"{FORMS}::test_a_secret_is_masked_by_what_stands_around_it[Basic alone]",
    ),
    Wall(
        "values of a query string are masked by their names",
        "secrets.py",
        "return _masked(text, (ASSIGNED, IN_QUERY, FLAG))",
        "return _masked(text, (ASSIGNED, FLAG))",
        f"{FORMS}::test_a_secret_is_masked_by_what_stands_around_it[token=]",
    ),
    Wall(
        "values of a query string are found in a tree",
        "secrets.py",
        "if any(_named_in(text, (IN_QUERY,))):",
        "if False:",
        f"{FORMS}::test_a_secret_is_masked_by_what_stands_around_it[token=]",
    ),
    Wall(
        "what follows an option is masked in a message",
        "secrets.py",
        "return _masked(text, (ASSIGNED, IN_QUERY, FLAG))",
        "return _masked(text, (ASSIGNED, IN_QUERY))",
        f"{FORMS}::test_a_command_line_is_masked_word_by_word_and_behind_its_options",
    ),
    Wall(
        "what follows an option is masked in a command line",
        "secrets.py",
        "return [MASK if _behind(flag, word) else masked(word)",
        "return [masked(word)",
        f"{FORMS}::test_a_command_line_is_masked_word_by_word_and_behind_its_options",
    ),
    Wall(
        "queries in programs are masked",
        "secrets.py",
        "return _masked(text, (LITERAL, IN_QUERY, CALLED, DEFAULT))",
        "return _masked(text, (LITERAL, CALLED, DEFAULT))",
        f"{FORMS}::test_a_secret_is_masked_by_what_stands_around_it[token=]",
    ),
    Wall(
        "arguments of calls in programs are masked",
        "secrets.py",
        "return _masked(text, (LITERAL, IN_QUERY, CALLED, DEFAULT))",
        "return _masked(text, (LITERAL, IN_QUERY, DEFAULT))",
        f"{FORMS}::test_literals_of_a_program_are_masked",
    ),
    Wall(
        "defaults of options in programs are masked",
        "secrets.py",
        "return _masked(text, (LITERAL, IN_QUERY, CALLED, DEFAULT))",
        "return _masked(text, (LITERAL, IN_QUERY, CALLED))",
        f"{FORMS}::test_literals_of_a_program_are_masked",
    ),
    Wall(
        "values of secret variables are masked",
        "secrets.py",
        "for value in sorted({*_SEEN, *(value for _, value in _variables())}, key=len, reverse=True):",
        "for value in sorted(_SEEN, key=len, reverse=True):",
        f"{SECRETS}::test_the_value_of_a_secret_variable_is_one_wherever_it_stands",
    ),
    Wall(
        "what was looked up as a secret is masked",
        "secrets.py",
        "        _SEEN.add(value)",
        "        pass",
        f"{SECRETS}::test_what_was_looked_up_as_a_secret_is_masked_from_then_on",
    ),
    Wall(
        "values are masked as URLs and JSON write them",
        "secrets.py",
        'plain = (value, quote(value, safe=""), quote(value), json.dumps(value)[1:-1], repr(value)[1:-1])',
        "plain = (value,)",
        f"{FORMS}::test_the_value_of_a_secret_variable_is_masked_in_every_way_it_is_written",
    ),
    Wall(
        "an object of a checkpoint that shows a secret is left out",
        "plain.py",
        "if _shows_secret(sealed.content.numpy().tobytes()):",
        "if False:",
        f"{WRITTEN}::test_hyper_parameters_of_checkpoints_leave_out_lists_and_objects_that_hold_one",
    ),
    Wall(
        "states of a checkpoint hold no secret",
        "plain.py",
        "return _cleaned(state, where) if secrets.any_in(state) else state",
        "return state",
        f"{WRITTEN}::test_states_leave_out_what_looks_like_a_secret",
    ),
    Wall(
        "a checkpoint is cleaned of secrets",
        "engine/checkpoint.py",
        'checkpoint |= without_secrets(others, "checkpoint")',
        "checkpoint |= others",
        "tests/journeys/test_planted_secrets.py::test_no_file_holds_any_of_them",
    ),
    Wall(
        "a batch script holds no secret",
        "launch/slurm/script.py",
        "    _refuse_secrets(options)\n",
        "",
        f"{WRITTEN}::test_a_batch_script_with_a_secret_is_not_written",
    ),
    Wall(
        "W&B does not copy what a run prints",
        "loggers/wandb_run.py",
        '{"console": "off"} if "WANDB_CONSOLE" not in os.environ else {}',
        "{}",
        f"{WRITTEN}::test_weights_and_biases_is_not_given_what_it_would_copy",
    ),
    Wall(
        "W&B does not copy the remote of a repository",
        "loggers/wandb_run.py",
        '{"disable_git": True} if "WANDB_DISABLE_GIT" not in os.environ else {}',
        "{}",
        f"{WRITTEN}::test_weights_and_biases_is_not_given_what_it_would_copy",
    ),
    Wall(
        "W&B is shown no secret on the command line",
        "loggers/wandb_run.py",
        "sys.argv = secrets.masked_words(before)",
        "pass",
        f"{WRITTEN}::test_weights_and_biases_is_shown_the_command_line_without_secrets",
    ),
    Wall(
        "the logs of a run hold no secret",
        "runs/execution.py",
        "return secrets.masked(super().format(record))",
        "return super().format(record)",
        "tests/journeys/test_secrets_on_disk.py::test_a_failure_that_repeats_the_key_does_not_write_it",
    ),
]

SHOWN = [
    Wall(
        "nothing that is printed commands a terminal",
        "terminal.py",
        "    if not said.isprintable():\n        said = _shown",
        "    if False:\n        said = _shown",
        f"{TERMINAL}::test_a_hostile_text_is_shown_and_not_obeyed",
    ),
    Wall(
        "C0 codes are shown as escapes",
        "terminal.py",
        "others = {each for each in set(text) if not each.isprintable()} - _HARMLESS - set(kept)",
        'others = {each for each in set(text) if not each.isprintable() and each > " "} - _HARMLESS - set(kept)',
        f"{TERMINAL}::test_a_hostile_text_is_shown_and_not_obeyed[title]",
    ),
    Wall(
        "C1 codes are shown as escapes",
        "terminal.py",
        "others = {each for each in set(text) if not each.isprintable()} - _HARMLESS - set(kept)",
        "others = {each for each in set(text) if ord(each) < 128 and not each.isprintable()} - _HARMLESS - set(kept)",
        f"{TERMINAL}::test_a_hostile_text_is_shown_and_not_obeyed[C1 introducer]",
    ),
    Wall(
        "marks of direction are shown as escapes",
        "terminal.py",
        "others = {each for each in set(text) if not each.isprintable()} - _HARMLESS - set(kept)",
        "others = {each for each in set(text) if ord(each) < 256 and not each.isprintable()} - _HARMLESS - set(kept)",
        f"{TERMINAL}::test_a_hostile_text_is_shown_and_not_obeyed[right to left override]",
    ),
    Wall(
        "a carriage return writes over no line",
        "terminal.py",
        '.replace("\\r\\n", "\\n").replace("\\r", "\\n"), "\\n\\t")',
        ', "\\n\\t\\r")',
        f"{TERMINAL}::test_a_carriage_return_writes_over_nothing",
    ),
    Wall(
        "a log is decoded before it is shown",
        "terminal.py",
        "return printable_lines(found[:-1] if self._returned else found, sys.maxsize)",
        "return found",
        f"{TERMINAL}::test_raw_control_bytes_of_a_log_do_not_get_through",
    ),
    Wall(
        "errors are printed as text",
        "terminal.py",
        "print(printable_lines(error), file=sys.stderr)",
        "print(error, file=sys.stderr)",
        f"{TERMINAL}::test_an_error_is_shown_and_not_obeyed",
    ),
    Wall(
        "the second wall lets colours through only",
        "terminal.py",
        "shown = (part if at % 2 else printable_lines(part, sys.maxsize) for at, part in enumerate(parts))",
        "shown = iter(parts)",
        f"{TERMINAL}::test_the_second_wall_lets_colours_through_to_a_terminal_only",
    ),
    Wall(
        "the second wall lets colours through to a terminal only",
        "terminal.py",
        'if "\\x1b" in text and self._on_terminal else [text]',
        "",
        f"{TERMINAL}::test_the_second_wall_lets_colours_through_to_a_terminal_only",
    ),
    Wall(
        "a config is shown as text",
        "cli/runs_show.py",
        "printable_lines(",
        "str(",
        hostile("raw codes in the config", "runs show --config"),
    ),
]

WALLS = [*SECRET, *SHOWN]
