from django.db import migrations

import django_fsspec.fields
import django_fsspec.operations
import django_fsspec.validators
import tests.promises.project


class Migration(migrations.Migration):
    dependencies = [
        ("promises", "0001_initial"),
    ]

    operations = [
        django_fsspec.operations.ConvertFileField(
            model_name="Page",
            name="attachment",
            field=django_fsspec.fields.StoredObjectField(
                backend="default",
                upload_to="a",
                validators=[
                    django_fsspec.validators.MaxSizeValidator(9),
                    django_fsspec.validators.ContentTypeValidator(["image/*"]),
                    django_fsspec.validators.ImageValidator(),
                    tests.promises.project.ScanValidator(),
                ],
            ),
            batch_size=50,
            storage="default",
            list_storage=False,
        ),
        tests.promises.project.ConvertToScan(
            model_name="Page",
            name="attachment",
            field=tests.promises.project.ScanField(backend="default", upload_to=""),
        ),
    ]
