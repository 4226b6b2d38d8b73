"""An answer of the API."""

from typing import Any

CASE: dict[str, Any] = {
    "caseId": "6a1d5a70-0f5b-4c57-9d0e-2f7a3f0f8c11",
    "status": "INPUT_NEEDED",
    "createdAt": 1772366400123,
    "updatedAt": 1772370000000,
    "nextActionAt": 253402300799999,
    "attemptCount": 1,
    "maxAttempts": 3,
    "channel": "EMAIL",
    "counterparty": {"address": "ann@supplier.example", "name": "Ann", "later": "more"},
    "attachments": [],
    "goal": {"objective": "Ask."},
    "senderPersona": {"name": "Bob"},
    "inputRequest": {"id": "q", "question": "Which?", "status": "PENDING", "requestedAt": 1772370000000, "options": []},
    "addedLater": {"by": "the service"},
}
