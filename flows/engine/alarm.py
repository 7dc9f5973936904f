"""The automation on Prefect's server that retrains a model when the monitor raises an alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from gatecast.flows.settings.runs import BREACH

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from prefect.automations import Automation
    from prefect.deployments.runner import RunnerDeployment

NAME = "Gatecast: retrain on a breach"

# The alarm carries the settings of the champion, so one automation serves every model.
SETTINGS_OF_EVENT = {
    "__prefect_kind": "json",
    "value": {"__prefect_kind": "jinja", "template": "{{ event.payload.parameters.settings | tojson }}"},
}


def retrain_on_breach(deployment: UUID) -> Automation:
    """Return the automation that runs a deployment of the flow `retrain` on every alarm of the monitor.

    Parameters
    ----------
    deployment : UUID
        Id of the deployment; the run's settings are those of the model that the alarm is about.
    """
    from prefect.automations import Automation
    from prefect.events.actions import RunDeployment
    from prefect.events.schemas.automations import EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    return Automation(
        name=NAME,
        description="Retrains a model when its forecasts lose to the best baseline or its data have drifted.",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={BREACH},
            match=ResourceSpecification({"prefect.resource.id": "gatecast.model.*"}),
            for_each={"prefect.resource.id"},
            threshold=1,
        ),
        actions=[
            RunDeployment(source="selected", deployment_id=deployment, parameters={"settings": SETTINGS_OF_EVENT})
        ],
    )


def answer(deployment: RunnerDeployment, identifier: UUID | Coroutine[Any, Any, UUID]) -> None:
    """Let alarms start a deployment on the server, if it is the one that can retrain any model.

    The type of `identifier` is Prefect's, which returns a coroutine only when called from a coroutine.
    """
    if (deployment.flow_name, deployment.name) == ("retrain", "retrain"):
        register(cast(UUID, identifier))


def register(deployment: UUID) -> None:
    """Create the automation on the server, or let the existing one run this deployment."""
    automation = retrain_on_breach(deployment)
    try:
        former = cast("Automation", type(automation).read(name=NAME))  # called from a plain function
    except ValueError:
        automation.create()
        return
    automation.id = former.id
    automation.update()
