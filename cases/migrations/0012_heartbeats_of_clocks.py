from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("cases", "0011_lists_of_many_rows"),
    ]

    operations = [
        migrations.AddField(
            model_name="heartbeat",
            name="role",
            field=models.CharField(
                choices=[("worker", "Worker"), ("clock", "Clock")],
                db_default="worker",
                default="worker",
                max_length=10,
            ),
        ),
    ]
