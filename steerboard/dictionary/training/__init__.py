"""Training a dictionary: harvest activations to disk, fit, keep checkpoints, report."""
