"""The demo site, which is the tests' Django project too."""
