from django.db import migrations, models

from cases.migration_operations import AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("webhooks", "0002_endpoint_health"),
    ]

    operations = [
        AddIndex("delivery", models.Index(fields=["state", "-created_at"], name="delivery_by_state")),
        AddIndex(
            "delivery",
            models.Index(fields=["endpoint"], name="delivery_kept", condition=models.Q(state="PARKED")),
        ),
    ]
