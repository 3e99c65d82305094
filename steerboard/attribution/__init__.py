"""The methods of attribution that need the model's insides."""
