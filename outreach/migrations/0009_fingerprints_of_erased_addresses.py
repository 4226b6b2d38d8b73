from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("outreach", "0008_notices_in_digests"),
    ]

    operations = [
        migrations.CreateModel(
            name="FingerprintKey",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("encrypted", models.TextField(editable=False)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="fingerprint_key_only_one"),
                ],
            },
        ),
    ]
