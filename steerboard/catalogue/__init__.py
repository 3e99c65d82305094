"""What is known of each feature over an image set: built, merged, stored, searched, compared."""

import steerboard.images  # noqa: F401  # which teaches fsspec about buckets
