"""What Schemathesis is told besides the description, so that calls that follow each other begin with a case."""

from typing import Any

import schemathesis

from scripts.attack import HARMLESS_CASE


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """It takes `clientReferenceId` for the id of something that must be made first, and makes no case of itself."""
    answer = raw_schema["paths"]["/client"]["get"]["responses"]["200"]
    answer["links"] = {"createCase": {"operationId": "createCase", "requestBody": HARMLESS_CASE}}
