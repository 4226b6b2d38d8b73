"""What came in and waits for a person, addresses that get no mail, the sandbox's mailboxes, the notices to staff."""

from outreach.admin import inbound, notices, sandbox, suppression  # noqa: F401 (they register themselves)
