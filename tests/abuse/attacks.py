"""The table of the attacks."""

from collections.abc import Mapping

from tests.abuse import connections, contents, floods, refusals, unfinished
from tests.abuse.attack import Attack

ATTACKS: Mapping[str, Attack] = {
    attack.name: attack
    for module in (unfinished, contents, refusals, floods, connections)
    for attack in module.ATTACKS
}
