"""Look up known holes of the pinned packages: ``python -m tests.audit``, part of ``make lint``.

Where no registry answers, or knows none of them, it says so and succeeds: then nobody can tell, and a machine without a
network has to be able to lint.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 120
PINS = Path(__file__).parents[1] / "constraints.txt"


def main() -> int:
    """Run pip-audit over the pins; return 1 if it finds a hole."""
    # The pins are complete, so nothing has to be resolved.
    command = [
        sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--format", "json",
        "--disable-pip", "--no-deps", "-r", str(PINS),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        found = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        print(f"pip-audit: SKIPPED, no registry answered within {LIMIT_SECONDS} s")
        return 0
    except (ValueError, LookupError):
        reason = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        print(f"pip-audit: SKIPPED, no registry answered: {reason[:200]}")
        return 0
    sentence, status = verdict(found)
    print(f"pip-audit: {sentence}")
    return status


def verdict(found: list[dict[str, Any]]) -> tuple[str, int]:
    """Return what pip-audit found in words, and the exit status.

    Parameters
    ----------
    found : list of dict
        ``dependencies`` of its JSON: ``name``, ``version`` and ``vulns``, or ``skip_reason``.
    """
    known = [each for each in found if "skip_reason" not in each]
    if not known:
        return f"SKIPPED, the registry here knows none of the {len(found)} packages, so nobody looked", 0
    holes = [
        f"{each['name']} {each['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no version'}"
        for each in known
        for hole in each["vulns"]
    ]
    unknown = f"; the registry does not know {len(found) - len(known)} others" if len(known) < len(found) else ""
    if holes:
        return "\n".join((f"{len(holes)} known holes", *holes)), 1
    return f"no known hole in {len(known)} packages{unknown}", 0


if __name__ == "__main__":
    sys.exit(main())
