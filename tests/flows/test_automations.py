from __future__ import annotations

import json
from datetime import timedelta
from uuid import uuid4

from flows.automations import automations
from flows.deployments import ServeSettings


def test_no_run_of_the_dead_lasts_five_minutes() -> None:
    for automation in automations(ServeSettings(lost_after_seconds=280)):
        assert automation.trigger.within <= timedelta(seconds=280)


def test_the_webhook_is_told_in_the_same_words_as_by_a_run() -> None:
    block = uuid4()
    for automation in automations(ServeSettings(), block):
        _, call = automation.actions
        assert call.block_document_id == block
        assert set(json.loads(call.payload)) == {"text", "flow", "run", "run_id", "state", "message", "url"}
