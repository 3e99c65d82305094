"""The worker pool: the job door, the Celery app, tasks, cache and library."""
