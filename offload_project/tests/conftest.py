import pytest

from offload_project.tests.steps import RecordingTransport
from outreach import transports


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> RecordingTransport:
    recording = RecordingTransport()
    monkeypatch.setitem(transports.TRANSPORTS, "sandbox", lambda: recording)
    return recording
