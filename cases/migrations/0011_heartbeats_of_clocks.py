from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("cases", "0010_questions_with_options_and_an_end"),
    ]

    operations = [
        migrations.AddField(
            model_name="heartbeat",
            name="role",
            field=models.CharField(choices=[("worker", "Worker"), ("clock", "Clock")], default="worker", max_length=10),
        ),
    ]
