from django.db import migrations, models
from django.db.models import Q

from cases.migration_operations import AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("outreach", "0014_providers"),
    ]

    operations = [
        AddIndex(
            "inboundpayload",
            models.Index(
                fields=["state", "-received_at", "-id"],
                name="payload_kept_apart",
                condition=Q(state="FAILED") | Q(state="QUARANTINED") | Q(state="UNMATCHED") | Q(state="DISCARDED"),
            ),
        ),
        migrations.RemoveIndex("inboundpayload", "payload_for_staff"),
    ]
