"""What tests make again and again: records, settings, fingerprints."""

from __future__ import annotations

from typing import Any

from kpsbatch.store.records import RecordedState, UnitRecord
from kpsbatch.store.settings import Fingerprint, Settings


def unit_record(state: RecordedState = "complete", **fields: Any) -> UnitRecord:
    """A unit's record that says no more than it must."""
    return UnitRecord.model_validate({"state": state, **fields})


def fingerprint(digest: str, **settings: Any) -> Fingerprint:
    """Any settings under any digest."""
    return Fingerprint(Settings(**settings), digest)
