"""All tortures, in the order in which they run."""

from __future__ import annotations

from tests.torture.damage import Damage
from tests.torture.forged import Forged
from tests.torture.fuzz import Fuzz
from tests.torture.kills import Disk, Kills
from tests.torture.numbers import Numbers
from tests.torture.retrains import Retrains
from tests.torture.together import Together
from tests.torture.torture import Torture
from tests.torture.year import Year

TORTURES: tuple[type[Torture], ...] = (Kills, Disk, Damage, Forged, Fuzz, Numbers, Together, Year, Retrains)
NAMES = [torture.name for torture in TORTURES]
