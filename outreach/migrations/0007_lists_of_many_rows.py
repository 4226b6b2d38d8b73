from django.db import migrations, models

from cases.migration_operations import AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("outreach", "0006_reminders_of_questions"),
    ]

    operations = [
        AddIndex(
            "inboundpayload",
            models.Index(fields=["-received_at", "-id", "state", "source"], name="payload_newest"),
        ),
        AddIndex("sandboxmail", models.Index(fields=["-delivered_at", "-id"], name="sandbox_mail_newest")),
        AddIndex("suppression", models.Index(fields=["-since", "-id"], name="suppression_newest")),
        AddIndex("staffnotice", models.Index(fields=["-created_at", "-id", "state"], name="notice_newest")),
    ]
