"""Child processes, signals and failures: one implementation each, for the queue, the ranks of a run and of a script.

    supervisor   starts children in sessions of their own, sends them signals, notices their end, kills what is left
    lifeline     a child notices that the process that started it has ended, however it ended
    signals      the only handlers of signals: noted while a process starts, relayed by a supervisor, obeyed by training
    failure      which of several failed ranks is the root cause

Standard library only, and cheap to import: an executing process imports `signals` before anything else.
"""
