"""What is known of each feature over an image set: built, merged, stored, searched, compared."""
