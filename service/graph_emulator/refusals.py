"""Graph's refusals: status, code and message.

The codes, on which clients branch, are those reported for attachments. Messages are Graph's own
where a public report quotes one.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal; `message` has named placeholders for details."""

    status: int
    code: str
    message: str


class Refused(Exception):
    """Graph refuses the request; the response is an error in Graph's format."""

    def __init__(
        self, refusal: Refusal, headers: Mapping[str, str] | None = None, **details: str
    ) -> None:
        self.refusal = refusal
        self.message = refusal.message.format(**details)
        self.headers = dict(headers or {})
        super().__init__(f"{refusal.status} {refusal.code}: {self.message}")


# -- Graph's front end

NO_SUCH_ROUTE = Refusal(404, "ResourceNotFound", "Resource not found for the segment.")
METHOD_NOT_ALLOWED = Refusal(405, "MethodNotAllowed", "The method is not allowed here.")
TOKEN_MISSING = Refusal(401, "InvalidAuthenticationToken", "Access token is empty.")
TOO_LARGE = Refusal(413, "BadRequest", "The maximum request length supported is 4MB.")
UNKNOWN_SELECT = Refusal(
    400,
    "RequestBroker--ParseUri",
    "Could not find a property named '{name}' on type 'microsoft.graph.attachment'.",
)
BAD_QUERY = Refusal(400, "BadRequest", "Invalid value '{value}' for the query option {name}.")

# -- the mailbox

ITEM_NOT_FOUND = Refusal(
    404, "ErrorItemNotFound", "The specified object was not found in the store."
)
THROTTLED = Refusal(
    429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit."
)
CONFLICT = Refusal(
    412,
    "ErrorIrresolvableConflict",
    "The send or update operation could not be performed because the change key passed in the "
    "request does not match the current change key for the item.",
)

# -- the body

NOT_JSON = Refusal(
    400,
    "RequestBodyRead",
    "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is "
    "of valid JSON format.",
)
TYPE_MISSING = Refusal(
    400,
    "RequestBodyRead",
    "The type 'microsoft.graph.attachment' is abstract; name a type in '@odata.type'.",
)
UNKNOWN_TYPE = Refusal(
    400,
    "RequestBodyRead",
    "A type named '{name}' could not be resolved by the model. When a model is available, each "
    "type name must resolve to a valid type.",
)
UNKNOWN_PROPERTY = Refusal(
    400,
    "RequestBodyRead",
    "The property '{name}' does not exist on type '{type_name}'. Make sure to only "
    "use property names that are defined by the type.",
)
WRONG_VALUE = Refusal(
    400, "RequestBodyRead", "Cannot convert the value of the property '{name}' to its type."
)
BAD_BASE64 = Refusal(400, "UnableToDeserializePostBody", "The property '{name}' holds no base64.")
PROPERTY_MISSING = Refusal(
    400, "ErrorRequiredPropertyMissing", "Required property is missing: {name}."
)
REFUSED_PROPERTY = Refusal(
    400, "ErrorInvalidProperty", "The property '{name}' can't be set in an attached item."
)
# The declared type of an item is abstract, so an item without a type can't be created.
ITEM_TYPE_MISSING = Refusal(422, "UnprocessableType", "Cannot create an abstract class.")
