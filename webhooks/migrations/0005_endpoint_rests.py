from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0004_turns_among_due_deliveries"),
    ]

    operations = [
        migrations.AddField(
            model_name="endpoint",
            name="rests_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
