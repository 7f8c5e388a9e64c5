"""Tests of delivery/content_comparison.py: whether a content is a request's."""

import json

import pytest

from attachment_gateway.delivery.candidates import Candidate, Place
from attachment_gateway.delivery.content_comparison import ContentComparison
from attachment_gateway.delivery.names import Name
from attachment_gateway.errors import Violations
from attachment_gateway.graph.base64_encoder import Base64Stream
from attachment_gateway.graph.request import FileRequest, GraphRequest, item_request
from graphattachments.v1.attachment_pb2 import Attachment, ItemAttachment
from graphattachments.v1.contact_pb2 import Contact
from graphattachments.v1.event_pb2 import Event
from tests.support.graph_requests import HEAD


def file(content: bytes) -> GraphRequest:
    encoded = Base64Stream()
    encoded.feed(content)
    return FileRequest(HEAD, Attachment(name="a.txt"), Violations()).seal(
        encoded.finish(), file_bytes=len(content)
    )


def event() -> GraphRequest:
    holder = ItemAttachment(event=Event(subject="Planning"))
    return item_request(HEAD, Attachment(name="a", item_attachment=holder), Violations())


def candidate(name: Name = Name.SAME, **listed: str | int | None) -> Candidate:
    return Candidate(listed={"id": "A=/", **listed}, place=Place.NEW, name=name)


def test_a_file_is_alike_if_its_bytes_are_equal() -> None:
    """A file's content is compared byte for byte."""
    comparison = ContentComparison(file(b"bytes"))
    assert comparison.is_alike(b"bytes")
    assert not comparison.is_alike(b"bytes\n")
    assert comparison.sought.names == ("a.txt",)
    assert comparison.path(candidate()) == f"{HEAD.path}/A%3D%2F/$value"


def test_an_item_is_alike_if_it_is_recognised() -> None:
    """An item is compared with what Graph shows of it; it may be listed under its subject."""
    comparison = ContentComparison(event())
    shown = {"id": "A", "item": {"@odata.type": "#microsoft.graph.event", "subject": "Planning"}}
    assert comparison.is_alike(json.dumps(shown).encode())
    assert not comparison.is_alike(b'{"id": "A"}')
    assert not comparison.is_alike(b"no JSON")
    assert comparison.sought.names == ("a", "Planning")
    assert comparison.path(candidate()).endswith("?$expand=microsoft.graph.itemattachment/item")


@pytest.mark.parametrize(
    ("found", "needs"),
    [
        (candidate(Name.SAME, size=4), True),
        (candidate(Name.OTHER, size=4), False),
        (candidate(Name.OTHER, size=5), True),
        (candidate(Name.OTHER, size="4"), True),
        (candidate(Name.OTHER), True),
        (candidate(Name.SAME, id=None), False),
    ],
)
def test_a_smaller_file_of_another_name_is_not_read(found: Candidate, needs: bool) -> None:
    """A file that is listed as smaller than ours, under another name, can't be alike."""
    assert ContentComparison(file(b"bytes")).needs_content(found) is needs


@pytest.mark.parametrize("depth", [900, 1010])
def test_an_item_that_is_nested_too_deeply_is_not_alike(depth: int) -> None:
    """An item with a value of hundreds of levels, which can be parsed, is not alike."""
    phones, address = Contact(surname="x", business_phones=["1"]), Contact(surname="x")
    address.email_addresses.add(address="a@example.com")
    deep = "[" * depth + "]" * depth
    for sent, name in ((phones, "businessPhones"), (address, "emailAddresses")):
        holder = ItemAttachment(contact=sent)
        attachment = Attachment(name="a", item_attachment=holder)
        comparison = ContentComparison(item_request(HEAD, attachment, Violations()))
        shown = f'{{"item": {{"surname": "x", "{name}": {deep}}}}}'
        assert not comparison.is_alike(shown.encode())
