"""``python -m kernels cpu|cuda|auto``: say what a backend runs on or, with exit status 1, why it cannot run."""

from __future__ import annotations

import sys
from argparse import ArgumentParser

from gatecast.kernels.backend import BackendError, describe_gpu, get_backend


def main() -> int:
    """Check the backend that is named."""
    parser = ArgumentParser(description="Say what a backend runs on, or why it cannot run.")
    parser.add_argument("backend", nargs="?", default="cpu", help="cpu, cuda or auto")
    try:
        name = get_backend(parser.parse_args().backend).name
    except (BackendError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"backend {name}" + (f": {describe_gpu()}" if name == "cuda" else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
