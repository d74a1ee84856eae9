"""A run is a directory: made once, executed anywhere, resumed anywhere.

One file for each thing that is done with it:

    directory   create one, read and write what is in it (`creation`: complete, or not there)
    heartbeat   keep its status true while it runs
    determinism how exactly it can be repeated (`variables`: what must be set before it starts)
    manifest    what it depended on: `code` (`source_files`, `snapshot`), `environment`, `data_identity` (`contents`,
                `file_hashes`), `ranks`; `witness` tells it what a stage shows
    fingerprint what it came to, in a few hashes (`loss_trace`, `digest`)
    guard       what must hold before a directory is executed that anybody may have made (`places`: its paths)
    archive     its checkpoints, read without executing anything
    execution   run it: build, find the last valid checkpoint, go on, record the outcome
    inference   evaluate or predict with what a run left behind

Many of them, for ``leyden runs`` and ``leyden train --reuse``:

    listing     the runs below a folder, each asked for anything by name; `find` one by a part of its name
    index       what was read of them, kept in the user's cache; reading and sections read them
    life        is a run that says "running" still there?
    query       conditions and orders
    signature   when two configs are the same; `reuse` finds the run that a new one would repeat
    differing   what differs between runs
    reproduction    one of them once more, in a new directory: `difference` (then and now), `until`, `verdict`
    report      one page to look at, about one of them or several
    exporting, keeping, tail    tables as files; pins and the trash; the log as it grows
"""
