"""Serve the API as tools for agents, by the Model Context Protocol over standard input and output."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from drf_spectacular.generators import SchemaGenerator


class Command(BaseCommand):
    help = "Serve create_case, get_case, list_cases, answer_question and cancel_case to an agent (MCP over stdio)."
    requires_system_checks = ()  # it needs neither database nor mail, only the API

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.OFFLOAD_MCP_API_KEY:
            raise CommandError(
                "OFFLOAD_MCP_API_KEY is not set. `manage.py create_client NAME` makes one; its scopes bind the agent."
            )
        from offload_project import mcp_server  # here, since no other command needs the SDK
        from offload_project.mcp_tools import Api, tools

        document = SchemaGenerator().get_schema(request=None, public=True)
        mcp_server.serve(tools(document), Api(settings.OFFLOAD_MCP_URL, settings.OFFLOAD_MCP_API_KEY))
