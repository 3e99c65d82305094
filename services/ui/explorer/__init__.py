"""The catalogue's explorer: what is known of every feature."""
