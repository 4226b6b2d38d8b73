from django.db import migrations, models
from django.db.models import Q

from cases.migration_operations import AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("cases", "0014_days_in_numbers")]

    operations = [
        AddIndex(
            "case", models.Index(fields=["client", "due_at"], name="case_turn", condition=Q(due_at__isnull=False))
        ),
    ]
