"""The pydantic schema of FileObject; imported only when pydantic asks for it."""

from __future__ import annotations

from typing import Any

from pydantic_core import CoreSchema, core_schema

_TEXT, _OPTIONAL_TEXT = (
    core_schema.str_schema(),
    core_schema.nullable_schema(core_schema.str_schema()),
)
_KEYS: dict[str, CoreSchema] = {
    "filename": core_schema.str_schema(min_length=1),
    "content_type": _OPTIONAL_TEXT,
    "size": core_schema.nullable_schema(core_schema.int_schema(ge=0)),
    "last_modified": core_schema.nullable_schema(core_schema.float_schema()),
    "checksum": _OPTIONAL_TEXT,
    "etag": _OPTIONAL_TEXT,
    "version_id": _OPTIONAL_TEXT,
    "metadata": core_schema.nullable_schema(core_schema.dict_schema(_TEXT)),
    "backend": _TEXT,
}


def nine_keys(cls: Any) -> CoreSchema:
    """Return the schema of a ``FileObject``: accepts an instance or the nine keys, dumps these."""
    keys = core_schema.typed_dict_schema(
        {
            name: core_schema.typed_dict_field(schema, required=name in ("filename", "backend"))
            for name, schema in _KEYS.items()
        },
        extra_behavior="allow",
    )
    from_keys = core_schema.no_info_after_validator_function(cls.from_dict, keys)
    return core_schema.json_or_python_schema(
        json_schema=from_keys,
        python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_keys]),
        serialization=core_schema.plain_serializer_function_ser_schema(
            cls.to_dict, return_schema=keys
        ),
    )
