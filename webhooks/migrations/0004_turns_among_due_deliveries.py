from django.db import migrations, models
from django.db.models import Q

from cases.migration_operations import AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("webhooks", "0003_lists_of_many_rows")]

    operations = [
        AddIndex(
            "delivery",
            models.Index(fields=["endpoint", "due_at"], name="delivery_turn", condition=Q(due_at__isnull=False)),
        ),
    ]
