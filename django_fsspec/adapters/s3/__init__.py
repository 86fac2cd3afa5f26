"""Amazon S3 and stores like it, through s3fs."""
