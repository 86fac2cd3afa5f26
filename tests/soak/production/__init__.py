"""A site as in production, for some minutes of everything that happens to one.

gunicorn (prefork, preload, recycled workers), uvicorn and Celery's prefork pool serve one site on
PostgreSQL, whose files lie on S3, SFTP and the local disk. `Traffic` does what visitors do,
`Mishaps` restart servers, replace credentials and send signals. `Gauges` measure the processes,
and an audit compares rows and files in the end.
"""
