"""Documents: a row and a file each."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.http import urlencode
from django.views import View

from django_fsspec.storage.aliases import label_of

from ..forms.documents import DocumentForm
from ..models import Document
from ..paging import Rows
from .page import PageView


def found(words: str) -> QuerySet[Document]:
    """Return the documents whose title, original name or type the words are of."""
    documents = Document.objects.order_by("-created", "-pk")
    if not words:
        return documents
    return documents.filter(
        Q(title__icontains=words)
        | Q(file__metadata__original_name__icontains=words)
        | Q(file__content_type__startswith=words)
    )


class DocumentsView(PageView):
    """Lists documents, and takes new ones."""

    here, template = "documents", "testproject/documents.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.listed(DocumentForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = DocumentForm(request.POST, request.FILES)
        document = form.stored()
        if document is None:
            return self.listed(form)
        messages.success(request, f"Stored {document} on {label_of(document.file.backend)}.")
        return redirect("documents")

    def listed(self, form: DocumentForm) -> HttpResponse:
        words = self.request.GET.get("q", "").strip().replace("\0", "")
        context = {
            "form": form,
            "words": words,
            "query": urlencode({"q": words} if words else {}),
            "documents": Rows(found(words), self.request.GET.get("page", "1")),
        }
        return self.show(context, 400 if form.errors else 200)


class DocumentView(PageView):
    """Shows what the row of a document holds; takes another title or file."""

    here, template = "documents", "testproject/document.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        document = get_object_or_404(Document, pk=pk)
        return self.shown(document, DocumentForm(instance=document, initial=_where(document)))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        document = get_object_or_404(Document, pk=pk)
        form = DocumentForm(request.POST, request.FILES, instance=document)
        if form.stored() is None:
            # what the form has put into its row is not stored, so it has no URL
            return self.shown(get_object_or_404(Document, pk=pk), form)
        messages.success(request, f"Stored {document} on {label_of(document.file.backend)}.")
        return redirect("document", pk)

    def shown(self, document: Document, form: DocumentForm) -> HttpResponse:
        context = {"document": document, "form": form, "row": _written(document)}
        return self.show(context, 400 if form.errors else 200)


class DeleteDocumentView(View):
    """Deletes a document; its file goes when that is committed."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        document = get_object_or_404(Document, pk=pk)
        document.delete()
        messages.success(request, f"Deleted {document}, and {document.file.name} with it.")
        return redirect("documents")


def _written(document: Document) -> dict[str, str]:
    """Return what the column of a document's file holds, as it is written there."""
    row = document.file.to_dict().items()
    return {key: json.dumps(value, ensure_ascii=False) for key, value in row}


def _where(document: Document) -> dict[str, Any]:
    return {"storage": document.file.backend}
