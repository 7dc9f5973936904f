"""Programs that are timed from start to end, each in a process of its own; they print one line of JSON."""
