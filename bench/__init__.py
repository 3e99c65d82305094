"""What the project claims about speed, measured side by side with others."""
