"""The GPU service: answers SteeringService with a Runner behind a batching queue."""
