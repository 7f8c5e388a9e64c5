"""Guards whose removal the fuzz must notice."""

from collections.abc import Mapping

from tests.faults.mutants import Mutation

# `cases` has the target that notices it.
MUTATIONS: Mapping[str, Mutation] = {
    "a caller sets a modelled property": Mutation(
        file="graph/codec.py",
        old="if not base or base in _modelled(descriptor):",
        new="if not base:",
        cases=("creates",),
        violated=("accepted with a fault", "can't"),
    ),
    "content is skipped only within a piece": Mutation(
        file="http1/response_parser.py",
        old="before = self._read[-len(mark) + 1 :]",
        new='before = b""',
        cases=("responses",),
        violated=("(",),
    ),
    "a message after the footer": Mutation(
        file="translation/upload.py",
        old="""        if self._footer is not None:
            raise StreamProtocol""",
        new="""        if self._footer is None and not part:
            raise StreamProtocol""",
        cases=("uploads",),
        violated=("accepted, but its faults are",),
    ),
    "a 408 proves that nothing was created": Mutation(
        file="delivery/response_judgement.py",
        old="and error_response.http_status != HTTPStatus.REQUEST_TIMEOUT",
        new="",
        cases=("answers",),
        violated=("an unclear end isn't looked up",),
    ),
}
