from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("outreach", "0010_index_of_model_calls"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="staffnotice",
            name="notice_of_one_thing",
        ),
        migrations.AddIndex(
            model_name="staffnotice",
            index=models.Index(
                condition=models.Q(("state", "SENT")), fields=["address", "-sent_at"], name="notice_last_sent"
            ),
        ),
        migrations.AddIndex(
            model_name="staffnotice",
            index=models.Index(
                condition=models.Q(("state", "WAITING")), fields=["address", "begun_at"], name="notice_waiting"
            ),
        ),
        migrations.AddConstraint(
            model_name="staffnotice",
            constraint=models.UniqueConstraint(fields=("draft", "address"), name="notice_of_draft_once"),
        ),
        migrations.AddConstraint(
            model_name="staffnotice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("draft__isnull", True),
                        ("parking__isnull", True),
                        ("payload__isnull", True),
                        ("question__isnull", False),
                    ),
                    models.Q(
                        ("draft__isnull", False),
                        ("parking__isnull", True),
                        ("payload__isnull", True),
                        ("question__isnull", True),
                    ),
                    models.Q(
                        ("draft__isnull", True),
                        ("parking__isnull", True),
                        ("payload__isnull", False),
                        ("question__isnull", True),
                    ),
                    models.Q(
                        ("draft__isnull", True),
                        ("parking__isnull", False),
                        ("payload__isnull", True),
                        ("question__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="notice_of_one_thing",
            ),
        ),
    ]
