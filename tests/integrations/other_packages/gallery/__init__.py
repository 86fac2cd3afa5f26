"""An app with pictures, for the packages that make thumbnails of them."""
