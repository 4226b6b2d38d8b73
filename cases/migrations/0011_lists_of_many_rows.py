import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q

from cases.migration_operations import AddIndex, MakeSearchable


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("cases", "0010_questions_with_options_and_an_end"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddIndex("case", models.Index(fields=["-created_at", "-id"], name="case_newest")),
        AddIndex("case", models.Index(fields=["-created_at"], name="case_failing", condition=Q(failures__gt=0))),
        AddIndex("case", models.Index(fields=["-created_at"], name="case_for_test", condition=Q(is_test=True))),
        AddIndex(
            "message",
            models.Index(fields=["-created_at", "-id", "status", "purpose", "direction"], name="message_newest"),
        ),
        AddIndex(
            "message", models.Index(fields=["-created_at"], name="message_after_end", condition=Q(is_after_end=True))
        ),
        AddIndex(
            "message",
            models.Index(fields=["drafted_at", "id"], name="message_drafted", condition=Q(drafted_at__isnull=False)),
        ),
        AddIndex("attachment", models.Index(fields=["-created_at", "-id"], name="attachment_newest")),
        AddIndex("attachment", models.Index(fields=["sha256"], name="attachment_by_sha256")),
        AddIndex("inputrequest", models.Index(fields=["-requested_at", "-id", "status"], name="input_request_newest")),
        MakeSearchable(),
        migrations.CreateModel(
            name="SavedFilter",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("list", models.CharField(max_length=100)),
                ("name", models.CharField(max_length=60)),
                ("query", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "ordering": ("name", "id"),
                "constraints": [
                    models.UniqueConstraint(fields=("user", "list", "name"), name="saved_filter_once_a_name")
                ],
            },
        ),
    ]
