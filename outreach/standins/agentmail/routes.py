"""AgentMail's routes: what each request asks of the post office."""

import base64
import secrets
from collections.abc import Callable

from outreach.standins.agentmail.messages import Fields, as_list, now
from outreach.standins.agentmail.pages import HIDDEN, is_listed, page
from outreach.standins.agentmail.post_office import PostOffice
from outreach.standins.agentmail.refusals import invalid, not_found


def _create_inbox(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    return server.create_inbox(**body)


def _list_inboxes(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    return page("inboxes", list(server.inboxes.values()), query)


def _get_inbox(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    return server.inbox(path["inbox_id"])


def _delete_inbox(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    del server.inboxes[server.inbox(path["inbox_id"])["inbox_id"]]
    return {}


def _send(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    return server.once(path, body, headers, lambda: server.new_mail(path["inbox_id"], body, None))


def _reply(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    def effect() -> Fields:
        answered = server.message(path["inbox_id"], path["message_id"])
        if body.get("reply_all") and any(body.get(name) for name in ("to", "cc", "bcc")):
            raise invalid("reply_all", "excludes to, cc and bcc")
        to = body.get("to") or answered.fields.get("reply_to") or [answered.fields["from"]]
        if body.get("reply_all"):
            to = [*as_list(to), *answered.fields["to"], *answered.fields.get("cc", [])]
        return server.new_mail(path["inbox_id"], {**body, "to": to}, answered)

    return server.once(path, body, headers, effect)


def _reply_all(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    return _reply(server, path, query, {**body, "reply_all": True}, headers)


def _list_messages(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    server.inbox(path["inbox_id"])
    found = [one.item() for (inbox_id, _), one in server.messages.items() if inbox_id == path["inbox_id"]]
    return page("messages", [item for item in found if is_listed(item, query)], query, newest_first=True)


def _get_message(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    return server.message(path["inbox_id"], path["message_id"]).fields


def _change_message(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    fields = server.message(path["inbox_id"], path["message_id"]).fields
    kept = [label for label in fields["labels"] if label not in as_list(body.get("remove_labels"))]
    fields["labels"] = list(dict.fromkeys([*kept, *as_list(body.get("add_labels"))]))
    return {"message_id": fields["message_id"], "labels": fields["labels"]}


def _delete_message(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    server.message(path["inbox_id"], path["message_id"])
    del server.messages[path["inbox_id"], path["message_id"]]
    return {}


def _get_raw(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    stored = server.message(path["inbox_id"], path["message_id"])
    link = server.link(path["inbox_id"], path["message_id"], "raw")
    return {"message_id": path["message_id"], "size": len(stored.raw), **link}


def _get_attachment(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    stored = server.message(path["inbox_id"], path["message_id"])
    listed = stored.fields.get("attachments", [])
    found = next((file for file in listed if file["attachment_id"] == path["attachment_id"]), None)
    if found is None:
        raise not_found("Attachment")
    return {**found, **server.link(path["inbox_id"], path["message_id"], path["attachment_id"])}


def _list_threads(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    inbox_id = server.inbox(path["inbox_id"])["inbox_id"]
    ids = dict.fromkeys(one.fields["thread_id"] for (inbox, _), one in server.messages.items() if inbox == inbox_id)
    return page("threads", [server.thread_item(inbox_id, one) for one in ids], query, newest_first=True)


def _get_thread(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    item = server.thread_item(path["inbox_id"], path["thread_id"])
    mates = [one.fields for one in server.messages.values() if one.fields["thread_id"] == path["thread_id"]]
    newest = page("messages", [one for one in mates if not set(HIDDEN) & set(one["labels"])], query, newest_first=True)
    newest["messages"].reverse()  # ascending inside a page, the first of which holds the newest
    return {**item, **newest}


def _create_webhook(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    if not str(body.get("url", "")).startswith(("http://", "https://")):
        raise invalid("url", "must be a URL")
    if not body.get("event_types"):
        raise invalid("event_types", "at least one is required")
    for hook in server.webhooks.values():
        if body.get("client_id") and hook.get("client_id") == body["client_id"]:
            return without_headers(hook)
    hook = {
        "webhook_id": f"ep_{secrets.token_hex(8)}",
        **{name: value for name, value in body.items() if value is not None},
        "secret": f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}",
        "enabled": True,
        "updated_at": now(),
        "created_at": now(),
    }
    server.webhooks[hook["webhook_id"]] = hook
    return without_headers(hook)


def _list_webhooks(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    return page("webhooks", [without_headers(hook) for hook in server.webhooks.values()], query)


def _get_webhook(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    return without_headers(server.webhook(path["webhook_id"]))


def _change_webhook(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    hook = server.webhook(path["webhook_id"])
    if body.get("event_types"):
        hook["event_types"] = body["event_types"]
    if body.get("enabled") is not None:
        server.enable(hook, body["enabled"])
    return without_headers(hook)


def _delete_webhook(server: PostOffice, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
    del server.webhooks[server.webhook(path["webhook_id"])["webhook_id"]]
    return {}


def without_headers(hook: Fields) -> Fields:
    return {name: value for name, value in hook.items() if name != "headers"}  # write-only


Act = Callable[[PostOffice, Fields, Fields, Fields, Fields], Fields]
MESSAGES = "v0/inboxes/{inbox_id}/messages"
THREADS = "v0/inboxes/{inbox_id}/threads"
ROUTES: tuple[tuple[str, str, Act], ...] = (
    ("POST", "v0/inboxes", _create_inbox),
    ("GET", "v0/inboxes", _list_inboxes),
    ("GET", "v0/inboxes/{inbox_id}", _get_inbox),
    ("DELETE", "v0/inboxes/{inbox_id}", _delete_inbox),
    ("POST", f"{MESSAGES}/send", _send),
    ("POST", f"{MESSAGES}/{{message_id}}/reply", _reply),
    ("POST", f"{MESSAGES}/{{message_id}}/reply-all", _reply_all),
    ("GET", MESSAGES, _list_messages),
    ("GET", f"{MESSAGES}/{{message_id}}", _get_message),
    ("PATCH", f"{MESSAGES}/{{message_id}}", _change_message),
    ("DELETE", f"{MESSAGES}/{{message_id}}", _delete_message),
    ("GET", f"{MESSAGES}/{{message_id}}/raw", _get_raw),
    ("GET", f"{MESSAGES}/{{message_id}}/attachments/{{attachment_id}}", _get_attachment),
    ("GET", THREADS, _list_threads),
    ("GET", f"{THREADS}/{{thread_id}}", _get_thread),
    ("POST", "v0/webhooks", _create_webhook),
    ("GET", "v0/webhooks", _list_webhooks),
    ("GET", "v0/webhooks/{webhook_id}", _get_webhook),
    ("PATCH", "v0/webhooks/{webhook_id}", _change_webhook),
    ("DELETE", "v0/webhooks/{webhook_id}", _delete_webhook),
)


def match(pattern: str, parts: list[str]) -> Fields | None:
    """The values of the pattern's `{names}`; None where the path is another."""
    wanted = pattern.split("/")
    if len(wanted) != len(parts):
        return None
    pairs = list(zip(wanted, parts, strict=True))
    if any(not name.startswith("{") and name != part for name, part in pairs):
        return None
    return {name.strip("{}"): part for name, part in pairs if name.startswith("{")}
