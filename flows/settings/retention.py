"""How much of what runs leave behind is kept."""

from __future__ import annotations

from pydantic import Field

from gatecast.data.settings import Settings


class RetentionSettings(Settings):
    """What `flows.clean` keeps."""

    keep: int = Field(
        30, ge=1, description="How many versions and reports of each model, and runs of each deployment, stay"
    )
    keep_days: float = Field(0, ge=0, description="What is younger than so many days stays as well, however many")
