"""The targets in one process."""

import math
from collections.abc import Iterable, Mapping

from tests.fuzz.answers import ANSWERS
from tests.fuzz.http_responses import RESPONSES
from tests.fuzz.items import CREATES
from tests.fuzz.large import LARGE
from tests.fuzz.lists import LISTS
from tests.fuzz.protobuf_messages import PROTOBUF
from tests.fuzz.target import Target
from tests.fuzz.upload_streams import UPLOADS

TARGETS: Mapping[str, Target] = {
    target.name: target for target in (UPLOADS, PROTOBUF, CREATES, RESPONSES, ANSWERS, LISTS, LARGE)
}


def numbers_of(inputs: int, names: Iterable[str]) -> Mapping[str, int]:
    """Return how many of the inputs each of these targets gets, by its share."""
    chosen = [TARGETS[name] for name in names]
    shares = sum(target.share for target in chosen)
    return {target.name: math.ceil(inputs * target.share / shares) for target in chosen}
