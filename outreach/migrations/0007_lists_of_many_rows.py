from django.db import migrations, models

from cases.migration_operations import AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("outreach", "0006_reminders_of_questions"),
    ]

    operations = [
        AddIndex("inboundpayload", models.Index(fields=["-received_at", "-id"], name="payload_newest")),
        AddIndex("inboundpayload", models.Index(fields=["state", "-received_at"], name="payload_newest_of_state")),
        AddIndex("sandboxmail", models.Index(fields=["-delivered_at", "-id"], name="sandbox_mail_newest")),
        AddIndex("suppression", models.Index(fields=["-since", "-id"], name="suppression_newest")),
        AddIndex("staffnotice", models.Index(fields=["-created_at", "-id"], name="notice_newest")),
        AddIndex("staffnotice", models.Index(fields=["state", "-created_at"], name="notice_by_state")),
    ]
