"""The form about a document."""

from __future__ import annotations

from typing import Any, ClassVar

from ..models import Document
from .stored import OnStorageForm, titled


class DocumentForm(OnStorageForm):
    """Makes a document, or gives one another title or file."""

    class Meta:
        model = Document
        fields = ("title", "file")
        widgets: ClassVar = {"title": titled("title, or the file's own name")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["title"].required = False

    def clean_file(self) -> Any:
        return self.placed("file", self.cleaned_data["file"])

    def clean(self) -> None:
        super().clean()
        if not self.errors and not self.cleaned_data["title"]:
            self.cleaned_data["title"] = self.cleaned_data["file"].original_name[:100]
