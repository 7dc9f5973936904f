"""``python -m kernels cpu|cuda|auto``: say what a backend runs on or, with exit status 1, why it cannot run."""

from __future__ import annotations

import sys

from gatecast.kernels.backend import BackendError, describe_gpu, get_backend


def main() -> int:
    """Check the backend that is named."""
    try:
        name = get_backend(*sys.argv[1:2]).name
    except (BackendError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"backend {name}" + (f": {describe_gpu()}" if name == "cuda" else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
