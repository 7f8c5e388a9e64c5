"""Tests that the gateway sends Graph the same requests as Microsoft's own SDK.

Each sample is sent to one raw Graph by the SDK and by the gateway, and the requests are compared.
"""

import datetime
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from math import isnan
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from kiota_http.kiota_client_factory import KiotaClientFactory
from msgraph.graph_request_adapter import GraphRequestAdapter, options
from msgraph.graph_service_client import GraphServiceClient
from msgraph_core import GraphClientFactory

from graphattachments.v1.attachment_pb2 import Attachment, PostRef
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    UploadFileAttachmentRequest,
    UploadHeader,
)
from tests.support.calls import AsyncStub
from tests.support.metadata_facts import ENUMS, attachment_in_json, leaves
from tests.support.raw_graph import RawGraph, Received, answer
from tests.support.sdk_samples import SAMPLES, Of, Sample, of_sdk

# Modules of the SDK raise deprecation warnings when they are imported.
pytestmark = [
    pytest.mark.filterwarnings("ignore:GetQueryParameters is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This class is deprecated:DeprecationWarning"),
]

TOKEN = "eyJ0eXAi.eyJhcHBpZCI6.c2lnbg"

SHORT = PostRef(group_id="11111111-2222", thread_id="AAQkAD=", post_id="AAMkAG_-=")
LONG = PostRef(
    group_id="11111111-2222",
    conversation_id="AAQkAE+/=",
    thread_id="AAQkAD=",
    post_id="a b~!*'()@:$,;&?#ü%2F",
)


class FixedToken:
    """A credential with a fixed token."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(TOKEN, 4102444800)


@pytest.fixture
async def sdk(graph: RawGraph) -> AsyncIterator[GraphServiceClient]:
    """Microsoft's client with its defaults, but with the raw Graph's address."""
    async with KiotaClientFactory.get_default_client() as http:
        adapter = GraphRequestAdapter(
            AzureIdentityAuthenticationProvider(FixedToken()),
            GraphClientFactory.create_with_default_middleware(client=http, options=options),
        )
        adapter.base_url = graph.url
        yield GraphServiceClient(request_adapter=adapter)


Way = Callable[[PostRef, Sample], Any]


@pytest.fixture
def by_sdk(sdk: GraphServiceClient, graph: RawGraph) -> Way:
    """A function that sends a sample by the SDK and returns the request that Graph received."""

    async def send(post: PostRef, sample: Sample) -> Received:
        # A response with a body makes the SDK import some thousands of models. Its client doesn't
        # close its connections.
        graph.script.append(answer(204, b"", Connection="close"))
        at: Any = sdk.groups.by_group_id(post.group_id)
        if post.conversation_id:
            at = at.conversations.by_conversation_id(post.conversation_id)
        at = at.threads.by_conversation_thread_id(post.thread_id).posts.by_post_id(post.post_id)
        await at.attachments.post(sample.for_sdk())
        return graph.received.pop()

    return send


@pytest.fixture
def by_gateway(stub: AsyncStub, graph: RawGraph) -> Way:
    """A function that sends a sample by the gateway and returns the request that Graph received."""

    async def send(post: PostRef, sample: Sample) -> Received:
        request = CreateAttachmentRequest(post=post, attachment=sample.for_gateway())
        await stub.CreateAttachment(request, metadata=[("authorization", f"Bearer {TOKEN}")])
        return graph.received.pop()

    return send


@pytest.fixture
def by_upload(stub: AsyncStub, graph: RawGraph) -> Way:
    """A function that uploads a file byte by byte and returns the request that Graph received."""

    async def send(post: PostRef, sample: Sample) -> Received:
        attachment = sample.for_gateway()
        content = attachment.file_attachment.content_bytes
        attachment.file_attachment.ClearField("content_bytes")
        await stub.UploadFileAttachment(
            _upload(post, attachment, content), metadata=[("authorization", f"Bearer {TOKEN}")]
        )
        return graph.received.pop()

    return send


def _upload(
    post: PostRef, attachment: Attachment, content: bytes
) -> Iterator[UploadFileAttachmentRequest]:
    yield UploadFileAttachmentRequest(header=UploadHeader(post=post, attachment=attachment))
    for byte in content:
        yield UploadFileAttachmentRequest(chunk=bytes([byte]))


# Where the two requests differ, and why.

ABSENT = "absent"


def same_instant(sdk: Any, ours: Any) -> bool:
    """Return whether both name one instant, the SDK with an offset and the gateway with a Z."""
    instants = [datetime.datetime.fromisoformat(text) for text in (sdk, ours)]
    return instants[0] == instants[1] and sdk.endswith("+00:00") and ours.endswith("Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A known difference: the sample, a pattern of the leaves' paths, a check and the reason."""

    sample: str
    where: str
    how: Callable[[Any, Any], bool]
    reason: str

    def explains(self, path: str, sdk: Any, ours: Any) -> bool:
        return re.fullmatch(self.where, path) is not None and self.how(sdk, ours)


OFFSET = "Edm.DateTimeOffset is RFC 3339: the SDK writes Python's +00:00, protobuf a Z"
NO_JSON = (
    "JSON has no such number: the SDK writes Python's word for it, which is no JSON, and OData"
)
DIFFERENCES = [
    Difference(
        sample="message",
        where=r"item\.(receivedDateTime|sentDateTime)",
        how=same_instant,
        reason=OFFSET,
    ),
    Difference(
        sample="event",
        where=r"item\.(originalStart|responseStatus\.time|attendees\[[01]\]\.status\.time)",
        how=same_instant,
        reason=OFFSET,
    ),
    Difference(
        sample="contact",
        where=r"item\.birthday",
        how=same_instant,
        reason=OFFSET,
    ),
    Difference(
        sample="event",
        where=r"item\.attendees\[[01]\]\.@odata\.type",
        how=lambda sdk, ours: (sdk, ours) == ("#microsoft.graph.attendee", ABSENT),
        reason="the SDK names every type that derives from another; attendee is the declared one",
    ),
    Difference(
        sample="edges",
        where=r"item\.originalStart",
        how=lambda sdk, ours: (
            sdk == "2026-03-01T09:00:00.123456+00:00" and ours == "2026-03-01T09:00:00.123456789Z"
        ),
        reason="the SDK's datetime ends at microseconds",
    ),
    Difference(
        sample="edges",
        where=r"item\.location\.coordinates\.accuracy",
        how=lambda sdk, ours: sdk == float("inf") and ours == "INF",
        reason=NO_JSON,
    ),
    Difference(
        sample="edges",
        where=r"item\.location\.coordinates\.altitude",
        how=lambda sdk, ours: sdk == float("-inf") and ours == "-INF",
        reason=NO_JSON,
    ),
    Difference(
        sample="edges",
        where=r"item\.location\.coordinates\.altitudeAccuracy",
        how=lambda sdk, ours: isnan(sdk) and ours == "NaN",
        reason=NO_JSON,
    ),
    Difference(
        sample="edges",
        where=r"item\.categories",
        how=lambda sdk, ours: (sdk, ours) == ([], ABSENT),
        reason="protobuf doesn't tell an empty list from none; nothing to create differs by it",
    ),
]


def differing(sdk: dict[str, Any], ours: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the leaves that differ in value or JSON type, by path."""
    of_sdk, of_ours = dict(leaves(sdk)), dict(leaves(ours))
    pairs = {
        path: (of_sdk.get(path, ABSENT), of_ours.get(path, ABSENT))
        for path in of_sdk.keys() | of_ours.keys()
    }
    return {path: pair for path, pair in pairs.items() if repr(pair[0]) != repr(pair[1])}


def assert_alike(sdk: Received, ours: Received, *, sample: str) -> None:
    """Check that two requests differ by the sample's rows of DIFFERENCES and nothing else."""
    rows = [row for row in DIFFERENCES if row.sample == sample]
    found = differing(sdk.json, ours.json)
    assert {
        path: pair
        for path, pair in found.items()
        if not any(row.explains(path, *pair) for row in rows)
    } == {}
    assert [
        row for row in rows if not any(row.explains(path, *pair) for path, pair in found.items())
    ] == []
    assert sdk.request_line == ours.request_line
    assert vital(sdk) == vital(ours)


def vital(received: Received) -> dict[str, str]:
    """Return the headers that the outcome depends on."""
    names = {"host", "authorization", "content-type", "accept"}
    return {n.lower(): value for n, value in received.headers.items() if n.lower() in names}


@pytest.mark.parametrize("sample", SAMPLES)
async def test_the_gateway_sends_what_the_sdk_sends(
    by_sdk: Way, by_gateway: Way, sample: str
) -> None:
    """The request line, headers and JSON are the SDK's, but for the known differences."""
    sdk, ours = await by_sdk(SHORT, SAMPLES[sample]), await by_gateway(SHORT, SAMPLES[sample])
    assert_alike(sdk, ours, sample=sample)


@pytest.mark.parametrize("sample", ["file", "event"])
async def test_the_long_route_is_the_sdk_s(by_sdk: Way, by_gateway: Way, sample: str) -> None:
    """The long route is the SDK's, also for ids with characters that a path reserves."""
    sdk, ours = await by_sdk(LONG, SAMPLES[sample]), await by_gateway(LONG, SAMPLES[sample])
    assert_alike(sdk, ours, sample=sample)


@pytest.mark.parametrize("post", [SHORT, LONG], ids=["short", "long"])
async def test_a_stream_becomes_what_the_sdk_sends(
    by_sdk: Way, by_upload: Way, post: PostRef
) -> None:
    """An uploaded file makes the same request as the SDK."""
    sdk, ours = await by_sdk(post, SAMPLES["file"]), await by_upload(post, SAMPLES["file"])
    assert_alike(sdk, ours, sample="file")


@pytest.mark.parametrize("of", ["file", "message", "event", "contact"])
async def test_a_sample_has_every_property_that_a_caller_sets(by_gateway: Way, of: str) -> None:
    """A sample has every property of the metadata that a caller sets, at every level."""
    came = await by_gateway(SHORT, SAMPLES[of])
    expected = attachment_in_json(of, written=True)
    assert {path: type(value) for path, value in leaves(came.json)} == {
        path: type(value) for path, value in leaves(expected)
    }


@pytest.mark.parametrize("of", ["file", "message", "event", "contact"])
async def test_each_text_of_a_sample_is_unique(by_sdk: Way, of: str) -> None:
    """Each text of a sample is unique, so that two exchanged values would be noticed."""
    values = {name for names in ENUMS.values() for name in names}
    texts = [
        text
        for path, text in leaves((await by_sdk(SHORT, SAMPLES[of])).json)
        if isinstance(text, str) and text not in values and not path.endswith("@odata.type")
    ]
    assert sorted(texts) == sorted(set(texts))


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_the_sdk_has_the_same_values_of_an_enum(name: str) -> None:
    """The SDK has the same values of each enum in the same order."""
    assert [member.value for member in of_sdk(name[0].upper() + name[1:])] == ENUMS[name]


async def test_an_additional_property_is_what_the_sdk_sends_for_its_model(
    by_sdk: Way, by_gateway: Way
) -> None:
    """An additional property is sent as the SDK sends its model, such as extended properties."""
    title = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name Color"
    value = Of("SingleValueLegacyExtendedProperty", id=title, value="Grün")
    described = {"singleValueExtendedProperties": [{"id": title, "value": "Grün"}]}
    modelled = Of("Contact", single_value_extended_properties=[value])
    sdk = await by_sdk(SHORT, Sample(shared={"name": "n"}, content=modelled))
    additional = Of("Contact", extra=described)
    ours = await by_gateway(SHORT, Sample(shared={"name": "n"}, content=additional))
    assert_alike(sdk, ours, sample="neither")
    assert ours.json["item"] == {"@odata.type": "#microsoft.graph.contact", **described}
