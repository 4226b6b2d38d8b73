"""What each body of the API looks like, for the OpenAPI document: EXAMPLES by component, ANSWERS by operation.

One story throughout: the invoice for order 4711, that Ann sends after a question. A test holds every value against its
schema, and finds the bodies that have none.
"""

from typing import Any

from cases.views import NEW_CASE

CASE_ID = "6a1d5a70-0f5b-4c57-9d0e-2f7a3f0f8c11"
QUESTION_ID = "0b9f6f0e-6c52-4a0b-8b4d-1d7f4a0e9a52"
CREATED_AT = 1772366400123
ASKED_AT = CREATED_AT + 3_600_000
ENDED_AT = CREATED_AT + 7_200_000
QUESTION = "Ann Supplier asks: “Do you need it on paper?” What should be answered?"
MAIL_ID = "<20260301120000.1@supplier.example>"
RESULT = {"invoiceNumber": "2026-0042", "total": 1250.5}
ATTACHMENT = {
    "attachmentId": "c6a0c4f4-4d55-4b1c-a0a1-6f5d3c2b1a09",
    "name": "invoice.pdf",
    "size": 48211,
    "type": "application/pdf",
    "messageId": MAIL_ID,
    "inboxId": "offload@buyer.example",
    "receivedAt": ENDED_AT - 60_000,
}
CASE = {
    "caseId": CASE_ID,
    "clientReferenceId": NEW_CASE["clientReferenceId"],
    "status": "COMPLETED",
    "createdAt": CREATED_AT,
    "updatedAt": ENDED_AT,
    "nextActionAt": 253402300799999,
    "attemptCount": 2,
    "maxAttempts": 3,
    "channel": "EMAIL",
    "counterparty": NEW_CASE["counterparty"],
    "attachments": [ATTACHMENT],
    "resultStatus": "goal_achieved",
    "result": RESULT,
    "goal": NEW_CASE["goal"],
    "resultSchema": NEW_CASE["resultSchema"],
    "senderPersona": NEW_CASE["senderPersona"],
    "constraints": NEW_CASE["constraints"],
    "inputRequest": {"id": QUESTION_ID, "question": QUESTION, "status": "RESOLVED", "requestedAt": ASKED_AT},
}
RUNNING = {
    **{name: value for name, value in CASE.items() if name not in {"result", "resultStatus"}},
    "status": "RUNNING",
    "updatedAt": CREATED_AT + 1_000,
    "nextActionAt": CREATED_AT + 72 * 3_600_000,
    "attemptCount": 1,
    "attachments": [],
    "inputRequest": None,
}
UNSENT = {**RUNNING, "status": "CREATED", "nextActionAt": CASE["nextActionAt"], "attemptCount": 0, "reviewMode": "all"}
DRAFT = {
    "id": "1f0c2f44-6f0b-4a36-9b6e-64a1d4f0c7d5",
    "purpose": "OUTREACH",
    "to": "ann@supplier.example",
    "subject": "Invoice for order 4711",
    "body": "Dear Ann, …",
    "attachments": [],
    "hash": "68583f57905622881ca39f3540c8392f2ec021426959bb404e65e6d1628d7ebd",
    "createdAt": CREATED_AT + 1_000,
}
EDITED = {
    **DRAFT,
    "body": "Dear Ann, please send us the invoice. Bob",
    "hash": "f981e0d471d9c30b989244fc1f45563e1b41380130cb1a80ab99704e52bd03a8",
}
CLIENT = {
    "clientId": "d2a6a1f0-6a52-4f0e-8c5b-0f3a4b7e9d10",
    "name": "Buyer Inc",
    "defaultWebhookUrl": "https://buyer.example/offload",
    "settleSeconds": None,
    "reminderHours": 24,
    "eventTypes": ["case.draft_ready"],
}
MESSAGE_ID = "f1c1f6b2-1f0e-4f39-8a43-3f5f8a1d7e20"
WEBHOOK_URL = "https://buyer.example/offload"
TEST_ID = "evt_test_2c8c3f0a-7f41-4a55-9f0d-0a4f7f1f6a33"
SENT_EVENT = {
    "eventId": f"evt_{CASE_ID}_case_completed_{ENDED_AT}",
    "eventType": "case.completed",
    "caseId": CASE_ID,
    "state": "DELIVERED",
    "url": WEBHOOK_URL,
    "attemptCount": 1,
    "createdAt": ENDED_AT,
    "nextAttemptAt": None,
    "deliveredAt": ENDED_AT + 104,
}
EVENT_DATA = {
    "caseId": CASE_ID,
    "channel": "EMAIL",
    "attemptCount": 2,
    "attachments": [ATTACHMENT],
    "clientReferenceId": NEW_CASE["clientReferenceId"],
    "metadata": NEW_CASE["metadata"],
}


def _event(event_type: str, at: int, **data: Any) -> dict[str, Any]:
    return {
        "event_id": f"evt_{CASE_ID}_{event_type.replace('.', '_')}_{at}",
        "event_type": event_type,
        "timestamp": at,
        "data": {**EVENT_DATA, **data},
    }


EXAMPLES: dict[str, Any] = {
    "NewCase": NEW_CASE,
    "CaseCreated": {"caseId": CASE_ID},
    "Case": CASE,
    "Answer": {"inputRequestId": QUESTION_ID, "providedContext": "No, a PDF will do."},
    "Approval": {"hash": EDITED["hash"]},
    "DraftEdit": {"hash": DRAFT["hash"], "body": EDITED["body"]},
    "DraftRejection": {"reason": "Ask for the delivery note as well."},
    "Client": CLIENT,
    "AnswerAccepted": {"caseId": CASE_ID, "inputRequestId": QUESTION_ID, "accepted": True},
    "AttachmentDownload": {
        **ATTACHMENT,
        "downloadUrl": "https://offload.example.com/files/signed-token",
        "expiresAt": "2026-03-01T14:15:00Z",
    },
    "SandboxReply": {"text": "Invoice number: 2026-0042\nTotal: 1250.50"},
    "SandboxBounce": {"permanent": True},
    "SandboxOutOfOffice": {"until": "2027-01-31"},
    "SandboxAdvance": {"hours": 72},
    "SandboxAccepted": {"caseId": CASE_ID, "messageId": MAIL_ID},
    "SandboxSchedule": {"caseId": CASE_ID, "status": "RUNNING", "nextActionAt": CREATED_AT + 72 * 3_600_000},
    "SandboxMailbox": {
        "mails": [
            {
                "messageId": "<6a1d5a70.1@offload.example.com>",
                "from": "offload@buyer.example",
                "to": "ann@supplier.example",
                "subject": "Invoice for order 4711",
                "text": "Dear Ann, …",
                "sentAt": CREATED_AT + 1_000,
                "attachments": [],
                "raw": "From: Bob Buyer <offload@buyer.example>\r\nTo: ann@supplier.example\r\n\r\nDear Ann, …",
            }
        ]
    },
    "CaseList": {"cases": [CASE], "nextCursor": None},
    "MessageList": {
        "messages": [
            {
                "id": MESSAGE_ID,
                "messageId": MAIL_ID,
                "direction": "INBOUND",
                "purpose": "HUMAN",
                "from": "ann@supplier.example",
                "fromName": "Ann Supplier",
                "to": "offload@buyer.example",
                "cc": [],
                "subject": "Re: Invoice for order 4711",
                "text": "Invoice number: 2026-0042\nTotal: 1250.50",
                "attachments": [ATTACHMENT],
                "receivedAt": ENDED_AT - 60_000,
            }
        ],
        "nextCursor": None,
    },
    "Timeline": {
        "events": [
            {"type": "case.created", "at": CREATED_AT, "actor": "client", "data": {}},
            {
                "type": "case.input_needed",
                "at": ASKED_AT,
                "actor": "system",
                "data": {"inputRequestId": QUESTION_ID, "question": QUESTION},
            },
        ],
        "nextCursor": None,
    },
    "WebhookEvent": SENT_EVENT,
    "WebhookEvents": {"events": [SENT_EVENT], "nextCursor": None},
    "EventsOfCase": {
        "events": [
            {
                **SENT_EVENT,
                "attempts": [
                    {
                        "number": 1,
                        "startedAt": ENDED_AT + 20,
                        "durationMs": 84,
                        "status": 204,
                        "error": "",
                        "responseBody": "",
                    }
                ],
            }
        ]
    },
    "WebhookEndpoints": {
        "endpoints": [
            {
                "origin": "https://buyer.example:443",
                "health": "OK",
                "consecutiveFailures": 0,
                "lastSuccessAt": ENDED_AT + 104,
                "parkedEventCount": 0,
            }
        ]
    },
    "NewTest": {"replayParked": True},
    "TestOutcome": {
        "eventId": TEST_ID,
        "url": WEBHOOK_URL,
        "delivered": True,
        "status": 204,
        "durationMs": 84,
        "error": "",
        "responseBody": "",
        "replayedCount": 0,
    },
    "CaseCompletedEvent": _event(
        "case.completed", ENDED_AT, status="COMPLETED", resultStatus="goal_achieved", result=RESULT
    ),
    "CaseFailedEvent": _event(
        "case.failed",
        ENDED_AT,
        status="FAILED",
        resultStatus="max_retries",
        failureReason="Nobody has answered after 3 follow-ups.",
    ),
    "CaseInputNeededEvent": _event(
        "case.input_needed",
        ASKED_AT,
        status="INPUT_NEEDED",
        inputRequest=QUESTION,
        inputRequestId=QUESTION_ID,
        inputRequestStatus="PENDING",
        inputRequestedAt=ASKED_AT,
        inputRequestOptions=["Yes, please.", "No, a PDF will do."],
    ),
    "CaseCreatedEvent": _event("case.created", CREATED_AT, status="CREATED"),
    "CaseInputOverdueEvent": _event(
        "case.input_overdue",
        ASKED_AT,
        status="INPUT_NEEDED",
        inputRequest=QUESTION,
        inputRequestId=QUESTION_ID,
        inputRequestStatus="PENDING",
        inputRequestedAt=ASKED_AT,
    ),
    "CaseDraftReadyEvent": _event(
        "case.draft_ready", CREATED_AT + 1_000, status="CREATED", messageId=DRAFT["id"], draft=DRAFT
    ),
    "MessageSentEvent": _event("message.sent", CREATED_AT + 1_000, status="RUNNING", messageId=MESSAGE_ID),
    "MessageReceivedEvent": _event("message.received", ASKED_AT, status="RUNNING", messageId=MESSAGE_ID),
    "WebhookTestEvent": {"event_id": TEST_ID, "event_type": "webhook.test", "timestamp": ENDED_AT, "data": {}},
}

ANSWERS: dict[str, Any] = {  # what else than the component's example an operation's answer looks like
    "changeCase": {"Case": RUNNING},
    "pauseCase": {"Case": {**RUNNING, "nextActionAt": CASE["nextActionAt"], "paused": True}},
    "resumeCase": {"Case": RUNNING},
    "cancelCase": {
        "Case": {**RUNNING, "status": "FAILED", "nextActionAt": CASE["nextActionAt"], "resultStatus": "cancelled"}
    },
    "approveDraft": {"Case": UNSENT},
    "editDraft": {"Case": {**UNSENT, "draft": EDITED}},
    "rejectDraft": {"Case": UNSENT},
}
