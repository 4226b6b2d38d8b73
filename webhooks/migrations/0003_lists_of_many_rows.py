from django.db import migrations, models

from cases.migration_operations import AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("webhooks", "0002_endpoint_health"),
    ]

    operations = [
        AddIndex(
            "delivery",
            models.Index(fields=["-created_at", "-sequence", "-id", "state"], name="delivery_newest_first"),
        ),
        AddIndex(
            "delivery",
            models.Index(fields=["endpoint"], name="delivery_kept", condition=models.Q(state="PARKED")),
        ),
    ]
