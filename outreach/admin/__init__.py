"""What came in and waits for a person, addresses that get no mail, the sandbox's mailboxes, notices, model calls,
providers."""

from outreach.admin import inbound, model_calls, notices, providers, sandbox, suppression  # noqa: F401 (they register themselves)
