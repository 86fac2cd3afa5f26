"""Transactions that meet, over networks that fail: a site, its processes, and what lies between.

A `Site` has a database and a folder on S3 of its own. Its workers do random transactions from
several threads on the same few rows. `Weather` stands before S3: it resets connections, answers
503 and does not answer. `Line` stands before the database and breaks at commits. What a file
holds follows from the name it was given, so that whoever finds it can tell whether it is whole.
"""
