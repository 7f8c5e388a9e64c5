"""Graph's routes, over a socket: what each returns, and what unknown paths return."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import httpx
import pytest

from graph_emulator.control import EmulatorClient
from graph_emulator.posts import (
    CONVERSATION_ID,
    GROUP_ID,
    POST_ID,
    THREAD_ID,
    AttachmentDraft,
    Post,
)
from graph_emulator.server import RunningEmulator

EVENT_BODY = {
    "@odata.type": "#microsoft.graph.itemAttachment",
    "name": "Meeting",
    "item": {
        "@odata.type": "microsoft.graph.event",
        "subject": "Meeting",
        "body": {"contentType": "text", "content": "1 < 2"},
    },
}


def path_of(collection: str, attachment: httpx.Response) -> str:
    """Return the path of an attachment that was created."""
    return f"{collection}/{quote(attachment.json()['id'], safe='')}"


def test_a_created_file_has_every_property_of_graph(
    graph: httpx.Client, attachments: str, file_body: dict[str, object]
) -> None:
    """A created file is returned with every property that Graph gives it."""
    answer = graph.post(attachments, json=file_body)

    assert answer.status_code == 201
    attachment = answer.json()
    assert attachment.pop("id").startswith("AAMkAG-")
    assert attachment.pop("lastModifiedDateTime").endswith("Z")
    assert attachment == {
        "@odata.context": f"{graph.base_url}$metadata#groups('{GROUP_ID}')"
        f"/threads('{THREAD_ID}')/posts('{POST_ID}')/attachments/$entity",
        "@odata.type": "#microsoft.graph.fileAttachment",
        "@odata.mediaContentType": "application/octet-stream",
        "name": "hello.txt",
        "contentType": None,
        "size": 5 + 237,
        "isInline": False,
        "contentId": None,
        "contentLocation": None,
        "contentBytes": "aGVsbG8=",
    }


def test_a_created_file_keeps_what_may_be_set(
    graph: httpx.Client, attachments: str, file_body: dict[str, object]
) -> None:
    """A file keeps its type, inline flag and content id; properties that Graph sets are ignored."""
    sent = {"contentType": "text/plain", "isInline": True, "contentId": "cid-1"}
    ignored = {"id": "mine", "size": 1, "contentLocation": "here"}

    attachment = graph.post(attachments, json={**file_body, **sent, **ignored}).json()

    assert {name: attachment[name] for name in sent} == sent
    assert attachment["@odata.mediaContentType"] == "text/plain"
    assert attachment["id"] != "mine"
    assert attachment["size"] == 242
    assert attachment["contentLocation"] is None


def test_without_echo_a_created_file_has_no_bytes(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """With `echo_content_bytes=False` the response to a create has no content."""
    control.configure(echo_content_bytes=False)

    assert "contentBytes" not in graph.post(attachments, json=file_body).json()


def test_the_created_status_can_be_set(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """The status of a create can be 200, as Graph's documentation has both 200 and 201."""
    control.configure(created_status=200)

    assert graph.post(attachments, json=file_body).status_code == 200


def test_a_created_item_is_returned_without_the_item(graph: httpx.Client, attachments: str) -> None:
    """The response to an item's create has neither the item nor a file's properties."""
    attachment = graph.post(attachments, json=EVENT_BODY).json()

    assert set(attachment) == {
        "@odata.context",
        "@odata.type",
        "@odata.mediaContentType",
        "id",
        "lastModifiedDateTime",
        "name",
        "contentType",
        "size",
        "isInline",
    }
    assert attachment["@odata.type"] == "#microsoft.graph.itemAttachment"


def test_both_routes_lead_to_one_post(
    graph: httpx.Client, attachments: str, file_body: dict[str, object]
) -> None:
    """An attachment created by the route with the conversation is listed by the other."""
    created = graph.post(Post().path(with_conversation=True), json=file_body)

    assert f"/conversations/{quote(CONVERSATION_ID, safe='')}/" in str(created.request.url)
    listed = graph.get(attachments).json()["value"]
    assert [one["id"] for one in listed] == [created.json()["id"]]


def test_the_location_of_a_created_attachment_can_be_read(
    graph: httpx.Client, attachments: str, file_body: dict[str, object]
) -> None:
    """The Location of a created attachment can be read."""
    created = graph.post(attachments, json=file_body)

    assert graph.get(created.headers["location"]).json() == created.json()


def test_a_list_has_the_content(
    graph: httpx.Client, attachments: str, file_body: dict[str, object]
) -> None:
    """A list without `$select` has every file's content."""
    graph.post(attachments, json=file_body)

    assert [one["contentBytes"] for one in graph.get(attachments).json()["value"]] == ["aGVsbG8="]


def test_select_limits_the_properties(
    graph: httpx.Client, attachments: str, file_body: dict[str, object]
) -> None:
    """`$select` limits the properties to those it names, the id and the types."""
    graph.post(attachments, json=file_body)

    (one,) = graph.get(attachments, params={"$select": "name,size"}).json()["value"]

    assert set(one) == {"@odata.type", "@odata.mediaContentType", "id", "name", "size"}


@pytest.mark.parametrize("name", ["contentId", "contentBytes", "contentLocation", "item"])
def test_select_of_a_derived_property_is_refused(
    graph: httpx.Client, attachments: str, name: str
) -> None:
    """`$select` of a property that the base type doesn't have is refused."""
    answer = graph.get(attachments, params={"$select": f"id,{name}"})

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == (
        f"Could not find a property named '{name}' on type 'microsoft.graph.attachment'."
    )


def test_filter_is_ignored(
    graph: httpx.Client, attachments: str, file_body: dict[str, object]
) -> None:
    """`$filter` changes nothing."""
    graph.post(attachments, json=file_body)

    listed = graph.get(attachments, params={"$filter": "name eq 'other'"}).json()

    assert len(listed["value"]) == 1


def test_pages_together_are_the_whole_list(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """The pages together have the whole list, and each keeps the query."""
    for number in range(5):
        graph.post(attachments, json={**file_body, "name": f"{number}"})
    control.configure(page_size=2)

    names, url = [], f"{attachments}?$select=name"
    while url:
        page = graph.get(url).json()
        names.append([one["name"] for one in page["value"]])
        assert "contentBytes" not in page["value"][0]
        url = page.get("@odata.nextLink")

    assert names == [["0", "1"], ["2", "3"], ["4"]]


@pytest.mark.parametrize(("top", "count"), [(1, 1), (2, 2), (3, 2)])
def test_top_only_makes_pages_smaller(
    graph: httpx.Client,
    control: EmulatorClient,
    attachments: str,
    file_body: dict[str, object],
    top: int,
    count: int,
) -> None:
    """`$top` makes pages smaller, and never larger than `page_size`."""
    control.configure(page_size=2)
    for _ in range(3):
        graph.post(attachments, json=file_body)

    assert len(graph.get(attachments, params={"$top": top}).json()["value"]) == count


def test_a_top_that_is_no_number_is_refused(graph: httpx.Client, attachments: str) -> None:
    """A `$top` that is no number is refused."""
    answer = graph.get(attachments, params={"$top": "many"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")


def test_expand_adds_the_rewritten_item(graph: httpx.Client, attachments: str) -> None:
    """`$expand` adds the rewritten item, and without it there is no item."""
    path = path_of(attachments, graph.post(attachments, json=EVENT_BODY))

    plain = graph.get(path).json()
    expanded = graph.get(f"{path}?$expand=microsoft.graph.itemattachment/item").json()

    assert "item" not in plain
    assert expanded["item"]["@odata.type"] == "#microsoft.graph.event"
    assert expanded["item"]["body"]["contentType"] == "html"
    assert "1 &lt; 2" in expanded["item"]["body"]["content"]


def test_expand_without_rewriting_adds_the_item_as_sent(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """With `rewrite_items=False`, `$expand` adds the item that was sent."""
    control.configure(rewrite_items=False)
    path = path_of(attachments, graph.post(attachments, json=EVENT_BODY))

    expanded = graph.get(f"{path}?$expand=microsoft.graph.itemAttachment/item").json()

    assert expanded["item"] == EVENT_BODY["item"]


def test_value_is_the_file_with_its_type(
    graph: httpx.Client, attachments: str, file_body: dict[str, object]
) -> None:
    """`$value` returns the file with its content type."""
    created = graph.post(attachments, json={**file_body, "contentType": "text/plain"})

    answer = graph.get(f"{path_of(attachments, created)}/$value")

    assert (answer.content, answer.headers["content-type"]) == (b"hello", "text/plain")


def test_a_reference_has_no_value(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """A reference attachment can be read, and its `$value` is refused with 405."""
    reference = control.place(AttachmentDraft(kind="reference", name="link"))
    path = f"{attachments}/{quote(reference.id, safe='')}"

    assert graph.get(path).json()["@odata.type"] == "#microsoft.graph.referenceAttachment"
    assert graph.get(f"{path}/$value").status_code == 405


def test_a_deleted_attachment_stays_on_record(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """A deleted attachment can't be read any more, and stays in the control route's record."""
    path = path_of(attachments, graph.post(attachments, json=file_body))

    answer = graph.delete(path)

    assert (answer.status_code, answer.content) == (204, b"")
    assert graph.get(path).status_code == 404
    assert graph.delete(path).status_code == 404
    assert graph.get(attachments).json()["value"] == []
    (stored,) = control.stored()
    assert stored.deleted_at is not None


def test_only_group_ids_ignore_case(
    graph: httpx.Client, attachments: str, file_body: dict[str, object]
) -> None:
    """Outlook's ids are case-sensitive, and a group's id isn't."""
    created = graph.post(attachments.replace(GROUP_ID, GROUP_ID.upper()), json=file_body)
    id_ = created.json()["id"]

    assert graph.get(f"{attachments}/{quote(id_, safe='')}").status_code == 200
    assert graph.get(f"{attachments}/{quote(id_.swapcase(), safe='')}").status_code == 404


@pytest.mark.parametrize(
    "post",
    [
        Post(group_id="other"),
        Post(conversation_id="other"),
        Post(thread_id="other"),
        Post(post_id=POST_ID.swapcase()),
    ],
)
def test_an_unknown_post_is_not_found(
    graph: httpx.Client, file_body: dict[str, object], post: Post
) -> None:
    """A wrong id anywhere in a post's path is a 404."""
    answer = graph.post(post.path(with_conversation=True), json=file_body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ErrorItemNotFound")


@pytest.mark.parametrize("path", ["/me", "/groups/1", "/groups/1/threads/2/posts/3"])
def test_an_unknown_route_is_not_found(graph: httpx.Client, path: str) -> None:
    """Any other path is a 404 in Graph's shape."""
    answer = graph.get(path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ResourceNotFound")


@pytest.mark.parametrize(
    ("method", "suffix", "allowed"),
    [
        ("PUT", "", "GET, POST"),
        ("POST", "/id", "DELETE, GET"),
        ("DELETE", "/id/$value", "GET"),
    ],
)
def test_a_wrong_method_names_the_allowed_ones(
    graph: httpx.Client, attachments: str, method: str, suffix: str, allowed: str
) -> None:
    """A wrong method is a 405 with the methods that the path has."""
    answer = graph.request(method, f"{attachments}{suffix}")

    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_an_error_has_graphs_shape_and_headers(graph: httpx.Client, attachments: str) -> None:
    """An error has both request ids, in its body and its headers, and its time."""
    ours = "5f8a2b0e-0000-4000-8000-6d2f3c1b9e7a"

    answer = graph.get(f"{attachments}/none", headers={"client-request-id": ours})

    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert (error["code"], error["message"]) == (
        "ErrorItemNotFound",
        "The specified object was not found in the store.",
    )
    assert error["innerError"]["client-request-id"] == ours
    assert answer.headers["client-request-id"] == ours
    assert error["innerError"]["request-id"] == answer.headers["request-id"]
    assert error["innerError"]["date"].startswith("20")
    assert answer.headers["date"].endswith("GMT")
    assert '"ServerInfo"' in answer.headers["x-ms-ags-diagnostic"]


def test_a_missing_client_request_id_is_graphs_own(graph: httpx.Client, attachments: str) -> None:
    """Without a client-request-id the response has Graph's request-id in its place."""
    headers = graph.get(attachments).headers

    assert headers["client-request-id"] == headers["request-id"]


@pytest.mark.parametrize("authorization", [None, "Basic abc", "Bearer"])
def test_without_a_token_the_response_is_401(
    emulator: RunningEmulator, attachments: str, authorization: str | None
) -> None:
    """Without a bearer token the response is a 401 with a challenge."""
    headers = {} if authorization is None else {"Authorization": authorization}

    answer = httpx.get(f"{emulator.url}{attachments}", headers=headers, trust_env=False)

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "InvalidAuthenticationToken"
    assert answer.headers["www-authenticate"].startswith('Bearer realm="", authorization_uri=')


def test_an_attachment_cannot_be_read_within_the_lag(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """A stored attachment can't be read before the lag is over."""
    control.configure(lag_s=60)
    path = path_of(attachments, graph.post(attachments, json=file_body))

    assert graph.get(attachments).json()["value"] == []
    assert graph.get(path).status_code == 404

    control.configure(lag_s=0)
    assert graph.get(path).status_code == 200


def test_the_clock_offset_applies_to_date_and_attachments(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """`clock_offset_s` shifts the Date header and the attachments' times alike."""
    control.configure(clock_offset_s=-86400)
    yesterday = datetime.now(UTC) - timedelta(days=1)

    answer = graph.post(attachments, json=file_body)

    date = parsedate_to_datetime(answer.headers["date"])
    modified = datetime.fromisoformat(answer.json()["lastModifiedDateTime"])
    assert abs(date - yesterday) < timedelta(seconds=10)
    assert abs(modified - date) <= timedelta(seconds=1)
