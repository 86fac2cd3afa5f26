from django.db import migrations, models

import django_fsspec.fields
import django_fsspec.storage
import django_fsspec.validators
import tests.promises.project


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Page",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False)),
                (
                    "attachment",
                    models.FileField(
                        storage=django_fsspec.storage.get_storage("default"),
                        upload_to="a",
                        validators=[
                            django_fsspec.validators.MaxSizeValidator(9),
                            django_fsspec.validators.ContentTypeValidator(["image/*"]),
                            django_fsspec.validators.ImageValidator(),
                            tests.promises.project.ScanValidator(),
                        ],
                    ),
                ),
                (
                    "single",
                    django_fsspec.fields.StoredObjectField(
                        backend="default", blank=True, null=True, upload_to="single/%Y"
                    ),
                ),
                (
                    "several",
                    django_fsspec.fields.StoredObjectField(
                        backend="default", blank=True, multiple=True, upload_to="several"
                    ),
                ),
                (
                    "picture",
                    django_fsspec.fields.StoredObjectField(
                        backend="default",
                        max_length=80,
                        upload_to="",
                        validators=[
                            django_fsspec.validators.MaxSizeValidator(9),
                            django_fsspec.validators.ContentTypeValidator(["image/*"]),
                            django_fsspec.validators.ImageValidator(),
                            tests.promises.project.ScanValidator(),
                        ],
                    ),
                ),
                (
                    "placed",
                    django_fsspec.fields.StoredObjectField(
                        backend=tests.promises.project.alias_for_row,
                        upload_to=tests.promises.project.path_for_row,
                    ),
                ),
                ("scan", tests.promises.project.ScanField(backend="default", upload_to="scans")),
            ],
        ),
    ]
