"""What came in and waits for a person, addresses that get no mail, the sandbox's mailboxes, notices and model calls."""

from outreach.admin import inbound, model_calls, notices, sandbox, suppression  # noqa: F401 (they register themselves)
