from django.db import migrations

from cases.migration_operations import AddIndex
from cases.models import TurnIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("outreach", "0012_names_as_in_the_menu")]

    operations = [AddIndex("staffnotice", TurnIndex("address", name="notice_turn"))]
