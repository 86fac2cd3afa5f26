"""What users' migrations, settings, pickles and imports name: it works after every move."""
