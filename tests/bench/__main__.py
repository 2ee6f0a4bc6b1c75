"""`python -m tests.bench [NAME…]`: measure, print one JSON object a line, exit 1 on a missed goal.

Without a name `main` is run. Not part of the tests: the figures belong to the machine they were
measured on, and to nothing else running there meanwhile.
"""

import sys
from collections.abc import Callable, Iterator, Mapping

from tests.bench.bus import run as run_bus
from tests.bench.figures import Figure
from tests.bench.main_job import run as run_main

BENCHES: Mapping[str, Callable[[], Iterator[Figure]]] = {"main": run_main, "bus": run_bus}


def main() -> int:
    """Run the benches named."""
    wanted = sys.argv[1:] or ["main"]
    unknown = [name for name in wanted if name not in BENCHES]
    if unknown:
        sys.stderr.write(f"no such bench: {', '.join(unknown)}; there are {', '.join(BENCHES)}\n")
        return 2
    missed = False
    for name in wanted:
        for figure in BENCHES[name]():
            sys.stdout.write(figure.line() + "\n")
            sys.stdout.flush()
            missed |= not figure.ok
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
