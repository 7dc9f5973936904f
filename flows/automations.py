"""What ends the runs whose process or machine is gone, also where it shares no files with the server.

A run tells the server of itself every 30 seconds. The server keeps the clock of each run in its database, so that it
goes on after a restart.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from pydantic import SecretStr

from flows.deployments import TAG, ServeSettings
from flows.runs import WEBHOOK, describe

if TYPE_CHECKING:
    from prefect.automations import Automation

START_LIMIT = timedelta(minutes=4)


def automations(settings: ServeSettings, webhook: UUID | None = None) -> tuple[Automation, ...]:
    """Return the automations: one for runs that fall silent, one for those that never start.

    Parameters
    ----------
    settings : ServeSettings
        They say how long a run may tell nothing of itself.
    webhook : UUID, optional
        The server's block of the webhook that is told.
    """
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import CallWebhook, ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    ends = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed", "TimedOut")}
    heartbeat, pending = "prefect.flow-run.heartbeat", "prefect.flow-run.Pending"
    begins = {"prefect.flow-run.Running", heartbeat}

    def crash(name: str, message: str, after: str, expect: set[str], within: timedelta) -> Automation:
        actions: list[Any] = [ChangeFlowRunState(state=StateType.CRASHED, message=message)]
        if webhook is not None:
            told = describe("{{ flow.name }}", "{{ flow_run.name }}", "{{ flow_run.id }}", "Crashed", message,
                            "{{ flow_run|ui_url }}")  # fmt: skip
            actions.append(CallWebhook(block_document_id=webhook, payload=json.dumps(told)))
        return Automation(
            name=f"Gatecast: {name}",
            description=message,
            trigger=EventTrigger(
                posture=Posture.Proactive,
                match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
                match_related=ResourceSpecification(
                    {"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}
                ),
                for_each={"prefect.resource.id"},
                after={after},
                expect=expect,
                threshold=1,
                within=within,
            ),
            actions=actions,
        )

    lost = timedelta(seconds=settings.lost_after_seconds)
    return (
        crash("crash silent runs", "The run has stopped reporting; its process or machine is gone.",
              heartbeat, {heartbeat, *ends}, lost),
        crash("crash runs that never start", "Nothing has started the run; the process that took it is gone.",
              pending, {*begins, *ends}, START_LIMIT),
    )  # fmt: skip


def register_automations(settings: ServeSettings) -> None:
    """Create the automations on the server, or bring those that are there up to date."""
    from prefect.automations import Automation
    from prefect.blocks.webhook import Webhook

    address = os.environ.get(WEBHOOK)
    webhook = Webhook(url=SecretStr(address)).save(TAG, overwrite=True) if address else None
    for automation in automations(settings, cast("UUID | None", webhook)):
        try:
            former = cast("Automation", Automation.read(name=automation.name))  # called from a plain function
        except ValueError:
            automation.create()
            continue
        if _definition(former) != _definition(automation):
            automation.id = former.id
            automation.update()  # not where nothing has changed, since that forgets the clocks of present runs


def _definition(automation: Automation) -> dict[str, Any]:
    return automation.model_dump(mode="json", exclude={"id": True, "trigger": {"id"}})
