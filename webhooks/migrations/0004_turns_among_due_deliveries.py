from django.db import migrations

from cases.migration_operations import AddIndex
from cases.models import TurnIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("webhooks", "0003_lists_of_many_rows")]

    operations = [AddIndex("delivery", TurnIndex("endpoint", name="delivery_turn"))]
