"""The arrows between the rooms: `cases <- outreach`, `cases <- webhooks`, `offload_project` imports all.

`evaluation` plays scenarios with the whole service, so it imports all, too; nobody imports it but `offload_project`,
for its command, and tests, for the stand-in of a model.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {
    "cases": {"cases"},
    "outreach": {"outreach", "cases"},
    "webhooks": {"webhooks", "cases"},
    "evaluation": {"evaluation", "offload_project", "cases", "outreach", "webhooks"},
    "offload_project": {"offload_project", "cases", "outreach", "webhooks", "evaluation"},
}
STAND_IN = "evaluation.model_server"
# Whoever else imports these would be a second caller of what has to have one.
ONE_IMPORTER = {
    # The one caller, and the brokers that it calls.
    "django_q": ("cases/work.py", "cases/brokers.py", "cases/orm_broker.py"),
    "openai": ("outreach/agents/openai.py",),
    "mcp": ("offload_project/mcp_server.py",),
    "offload_client": ("clients/python",),  # for applications, never for the service itself
}
# The settings module is named in the environment before there are settings; the rest is read in one place.
ENVIRONMENT_READERS = {
    "offload_project/settings.py",
    "offload_project/wsgi.py",
    "manage.py",
    # Runs of scenarios have settings of their own, and begin in processes of their own.
    "evaluation/settings.py",
    "evaluation/play.py",
}


def imports(tree: ast.AST, path: Path) -> Iterator[str]:
    """Every imported module and name in dotted form; those inside functions and `if TYPE_CHECKING` too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = path.parent.parts[: len(path.parent.parts) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def reads_environment(tree: ast.AST) -> bool:
    """Whether the source names os.environ or os.getenv, or imports an environment reader."""
    names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    imported = set(imports(tree, Path()))
    return bool(
        names & {"os.environ", "os.environb", "os.getenv"}
        or imported & {"os.environ", "os.environb", "os.getenv"}
        or any(name.partition(".")[0] == "environ" for name in imported)
    )


def violations(path: Path, source: str) -> list[str]:
    """What the file at this path (relative to the root) does against the arrows, in words."""
    tree = ast.parse(source)
    is_test = "tests" in path.parts or path.name == "conftest.py"
    room = path.parts[0] if path.parts[0] in ROOMS else None
    found = []
    for name in imports(tree, path):
        top = name.partition(".")[0]
        is_stand_in = is_test and f"{name}.".startswith(f"{STAND_IN}.")
        if room and top in ROOMS and top not in ROOMS[room] and not is_stand_in:
            found.append(f"{path} imports {name}")
        if top in ONE_IMPORTER and path.as_posix() not in ONE_IMPORTER[top] and not is_test:
            found.append(f"{path} imports {name}, which is for {ONE_IMPORTER[top][0]}")
    exempt = is_test or path.parts[0] == "scripts" or path.as_posix() in ENVIRONMENT_READERS
    if not exempt and reads_environment(tree):
        found.append(f"{path} reads the environment, which is for offload_project/settings.py")
    return found


def sources() -> list[Path]:
    inside = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return [path.relative_to(ROOT) for path in [*inside, *ROOT.glob("*.py"), *(ROOT / "scripts").rglob("*.py")]]


def test_every_file_keeps_to_the_arrows() -> None:
    files = sources()
    assert {path.parts[0] for path in files} >= {*ROOMS, "scripts", "manage.py", "conftest.py"}
    assert [fault for path in files for fault in violations(path, (ROOT / path).read_text())] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("cases/services.py", "from outreach import advance"),
        ("cases/services.py", "import webhooks.sender"),
        ("cases/services.py", "from offload_project.api import failure"),
        ("cases/services.py", "def f():\n    from outreach.models import Suppression"),
        ("cases/services.py", "if TYPE_CHECKING:\n    from webhooks.models import Delivery"),
        ("cases/models/cases.py", "from ...outreach import models"),
        ("cases/services.py", "importlib.import_module('outreach.advance')"),
        ("cases/tests/test_services.py", "from outreach.tests import factories"),
        ("outreach/advance.py", "from webhooks import sender"),
        ("outreach/advance.py", "from offload_project import settings"),
        ("webhooks/tasks.py", "from outreach.models import Suppression"),
        ("webhooks/tests/test_tasks.py", "import outreach.advance"),
        ("outreach/advance.py", "from evaluation.model_server import ModelServer"),
        ("outreach/tests/test_advance.py", "from evaluation import player"),
        ("cases/tests/test_services.py", "from evaluation.scenario import load"),
        ("evaluation/player.py", "import os\nos.environ['X']"),
        ("outreach/tasks.py", "from django_q.tasks import async_task"),
        ("cases/models/cases.py", "def f():\n    import django_q"),
        ("outreach/agents/form.py", "from openai import OpenAI"),
        ("offload_project/management/commands/mcp.py", "from mcp.server import MCPServer"),
        ("offload_project/mcp_server.py", "from offload_client import Client"),
        ("cases/work.py", "import os\nos.environ['X']"),
        ("cases/work.py", "import os\nos.getenv('X')"),
        ("cases/work.py", "from os import environ"),
        ("outreach/transports/agentmail.py", "import environ"),
    ],
)
def test_a_wrong_arrow_is_found(path: str, source: str) -> None:
    assert len(violations(Path(path), source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("cases/work.py", "from django_q.tasks import async_task\nfrom cases.models import Case"),
        ("cases/models/cases.py", "from .due import DueRow\nfrom ..errors import CaseError"),
        ("outreach/advance.py", "from cases import services"),
        ("outreach/agents/openai.py", "import openai"),
        ("webhooks/tests/test_tasks.py", "import os\nfrom conftest import require\nfrom cases.tests import factories"),
        ("offload_project/urls.py", "import outreach.urls, webhooks, cases"),
        ("offload_project/settings.py", "import environ"),
        ("offload_project/mcp_server.py", "from mcp.server import MCPServer"),
        ("scripts/demo.py", "import os\nos.environ['PORT']"),
        ("evaluation/player.py", "from webhooks.models import Delivery\nfrom outreach import sandbox\nimport cases"),
        ("outreach/tests/test_openai_agent.py", "from evaluation.model_server import ModelServer, says"),
        ("offload_project/management/commands/evaluate_agent.py", "from evaluation import report"),
    ],
)
def test_a_right_arrow_is_left_alone(path: str, source: str) -> None:
    assert violations(Path(path), source) == []
