"""The training engine: one session per stage, one file per thing it does.

    stages         open, guard and close a stage: everything around a loop
    session        what a loop works with, and how it is set up
    hooks          which hooks are overridden, resolved once
    data           loaders, limits, transfer to the device, position
    seeded         order and random numbers of samples that no number of workers changes
    optimization   optimizers and schedulers in every accepted form
    step           forward, backward, update: the only place that does them
    fit            epochs and batches
    evaluate       validation and test
    predict        prediction
    rows           rows of numbers on their way to the loggers
    checkpoint     what a file holds, how it is written and taken back
    signals        SIGINT and SIGTERM become a flag, acted on between batches

The engine knows contracts and never an implementation.
"""
