"""Migrations as ``makemigrations`` wrote them with 0.1.0."""
