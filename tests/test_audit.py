"""What `tests.audit` says of what pip-audit found."""

from __future__ import annotations

from tests.audit import verdict

UNKNOWN = {"name": "ours", "skip_reason": "not found"}
WHOLE = {"name": "numpy", "version": "2.4.6", "vulns": []}
HOLE = {"name": "old", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}


def test_a_registry_that_knows_nothing_is_no_all_clear() -> None:
    sentence, status = verdict([UNKNOWN, UNKNOWN])
    assert status == 0
    assert sentence == "SKIPPED, the registry here knows none of the 2 packages, so nobody looked"


def test_holes_fail_and_name_the_version_that_mends_them() -> None:
    assert verdict([WHOLE, UNKNOWN]) == ("no known hole in 1 packages; the registry does not know 1 others", 0)
    assert verdict([WHOLE, HOLE]) == ("1 known holes\nold 1.0: PYSEC-1, mended in 1.1", 1)
