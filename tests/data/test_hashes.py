from __future__ import annotations

import json

import pytest

from gatecast.data.hashes import HashError, checked, hash_of, with_hash


def test_a_document_is_checked_whatever_its_layout() -> None:
    document = {"b": 0.1, "a": {"é": [1, None]}}
    stored = json.loads(json.dumps(with_hash(document), sort_keys=True, indent=3))
    assert checked(stored) == document
    assert with_hash(with_hash(document)) == with_hash(document)


@pytest.mark.parametrize("change", [{"b": 0.2}, {"c": 1}, {"sha256": hash_of({})}, {"sha256": None}])
def test_a_changed_document_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(HashError):
        checked({**with_hash({"b": 0.1}), **change})


def test_a_document_without_a_hash_is_taken_as_it_is_unless_it_must_have_one() -> None:
    assert checked({"b": 0.1}) == {"b": 0.1}
    with pytest.raises(HashError):
        checked({"b": 0.1}, required=True)
