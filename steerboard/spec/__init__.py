"""The nouns as frozen, validating models. No torch, no grpc."""
