"""What may happen to a workspace in a year, in minutes: `python -m tests.torture`, or ``make torture``.

Each torture promises something and tries to break it, again and again with another seed. A trial that breaks the
promise prints the command that repeats it. `make test` collects none of this.
"""
