"""Config groups in, a checked config or a built experiment out: all that knows of Hydra.

    app         run_app(config_name, argv, task) -> exit code   the command line of a program
    jobs        Job(config, context): one run that was asked for, and how it came about
    launchers   LauncherPlugin: a launcher of ours, as Hydra sees it; plugin_of(hydra) -> the one chosen
    completion  complete(argv, apps, commands) -> exit code     what a shell asks for on <TAB>
    compose     compose(overrides, "train") -> Composed         what the command line composes
    check       check(config, origins) -> [Problem]             everything that is wrong, at once
                ensure(config, origins)                         the same, raised as `ConfigProblems`
    problems    Problem, ConfigProblems, render(problems)
    frozen      freeze(config, run_dir) -> dict                 resolved, plain values
                dump(config) -> str, load(path) -> dict         the YAML they are kept in
    overrides   apply_overrides(saved, lines) -> dict           ``key=value`` on a saved config
    build       build(config) -> Experiment                     the one place that instantiates
    trust       Trust.of(directory, given): whose code a config from a directory may name
    judge       admit(config, trust, subject): refuse one that names anything else (`harmless`: what computes only)
    bounded     read_text(path), read_json(path), check_plain(text): small and plain, or refused
    project     project_root(), shipped_conf(), put_project_on_path()

One run, from the words typed to objects:

    run_app ─► compose ─► check ─► task(config, context) ─► freeze(config, run_dir) ─► build

Import from the modules: a process that executes a frozen config needs `frozen` and
`build`, not the machinery of composing.
"""
