from django.db import migrations

from cases.migration_operations import AddIndex, LeaveRoomForUpdates
from cases.models import TurnIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("cases", "0014_days_in_numbers")]

    operations = [
        AddIndex("case", TurnIndex("client", name="case_turn")),
        LeaveRoomForUpdates("cases_case", percent=20),
    ]
