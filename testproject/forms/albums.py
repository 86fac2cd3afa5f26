"""The forms about an album."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from ..models import Album
from .stored import OnStorageForm, titled


class AlbumForm(OnStorageForm):
    """Makes an album, with or without photos."""

    class Meta:
        model = Album
        fields = ("title", "photos")
        widgets: ClassVar = {"title": titled("title")}

    def clean_photos(self) -> Any:
        photos = self.cleaned_data["photos"]
        return [self.placed("photos", photo) for photo in photos or ()]


class AddPhotosForm(AlbumForm):
    """Adds photos to an album, moves them and takes them out."""

    class Meta(AlbumForm.Meta):
        fields = ("photos",)  # type: ignore[assignment]

    def clean_photos(self) -> Any:
        if "photos" not in self.changed_data:
            raise ValidationError("Choose at least one photo.", code="required")
        return super().clean_photos()


class ArrangeForm(forms.Form):
    """Moves one photo of an album, or removes it."""

    photo = forms.CharField(strip=False)
    move = forms.ChoiceField(choices=[("left", "left"), ("right", "right"), ("out", "out")])

    def __init__(self, data: Any, album: Album) -> None:
        super().__init__(data)
        self.album = album

    def clean_photo(self) -> Any:
        """Return the photo of that name: a name from outside opens nothing else."""
        for photo in self.album.photos:
            if photo.name == self.cleaned_data["photo"]:
                return photo
        raise ValidationError("That photo is not in this album any more.")

    def save(self) -> int:
        """Store the album; return where the photo, or the one in its place, is now."""
        photos, photo = self.album.photos, self.cleaned_data["photo"]
        place = photos.index(photo)
        photos.remove(photo)
        if self.cleaned_data["move"] != "out":
            step = 1 if self.cleaned_data["move"] == "right" else -1
            place = min(max(0, place + step), len(photos))
            photos.insert(place, photo)
        self.album.save(update_fields=["photos"])
        return int(place)
