"""What people do, written down as it happens."""
