from typing import Any

from django.db import models


class KeptJSONField(models.JSONField):
    """JSON that comes back as it was sent: jsonb would sort its keys, and a form asks for its lines in their order."""

    def db_type(self, connection: Any) -> str | None:
        """`json` on PostgreSQL, which keeps the text (and can't be compared, so no DISTINCT over the whole row)."""
        return "json" if connection.vendor == "postgresql" else super().db_type(connection)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        adapted = super().get_db_prep_value(value, connection, prepared)
        if connection.vendor == "postgresql" and value is not None and not hasattr(value, "resolve_expression"):
            from psycopg.types.json import Json, Jsonb

            if isinstance(adapted, Jsonb):
                return Json(adapted.obj, adapted.dumps)
        return adapted

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """The driver has read `json` already; Django has it leave only `jsonb` alone."""
        return value if connection.vendor == "postgresql" else super().from_db_value(value, expression, connection)
