"""A campaign of kills: runs are killed at any moment, go on, and have to end as if nobody had disturbed them.

    python -m tests.chaos --kills 300          all scenarios, until 300 processes were killed; make chaos does this
    python -m tests.chaos --list               scenarios, and how often each kind of moment comes in one run

    scenario ─► reference run, undisturbed ─► journal of its moments
             └► trial: train ─✕ killed ─► run DIR ─✕ killed again ─► run DIR ─► finished ─► compared with the reference

A kill is a SIGKILL of a real process, or of a group of them. Most processes are forked from one that has torch and
leyden imported but nothing initialised, which saves seconds for each; every tenth is a new interpreter.
"""
