"""Documents and albums become stored objects; the demo's rows are samples, made anew."""

from __future__ import annotations

from django.db import migrations, models
from django.db.models import F

import django_fsspec.fields


class Migration(migrations.Migration):
    dependencies = [("testproject", "0001_initial")]

    operations = [
        migrations.DeleteModel(name="Document"),
        migrations.CreateModel(
            name="Document",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("title", models.CharField(max_length=100)),
                (
                    "file",
                    django_fsspec.fields.StoredObjectField(
                        backend="default", upload_to="documents/%Y"
                    ),
                ),
                ("created", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-created"],
                "indexes": [models.Index(F("file__filename"), name="document_filename")],
            },
        ),
        migrations.CreateModel(
            name="Album",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("title", models.CharField(max_length=100)),
                (
                    "photos",
                    django_fsspec.fields.StoredObjectField(
                        backend="default", blank=True, multiple=True, upload_to="albums/%Y"
                    ),
                ),
                ("created", models.DateTimeField(auto_now_add=True)),
            ],
            options={"ordering": ["-created"]},
        ),
    ]
