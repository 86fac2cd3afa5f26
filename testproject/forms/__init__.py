"""The forms of the demo, a module a page."""
