"""A run is a directory: made once, executed anywhere, resumed anywhere.

One file for each thing that is done with it:

    directory   create one, read and write what is in it
    heartbeat   keep its status true while it runs
    execution   run it: build, find the last valid checkpoint, go on, record the outcome
    inference   evaluate or predict with what a run left behind
"""
