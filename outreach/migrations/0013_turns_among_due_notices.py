from django.db import migrations, models
from django.db.models import Q

from cases.migration_operations import AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("outreach", "0012_names_as_in_the_menu")]

    operations = [
        AddIndex(
            "staffnotice",
            models.Index(fields=["address", "due_at"], name="notice_turn", condition=Q(due_at__isnull=False)),
        ),
    ]
