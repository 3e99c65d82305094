"""The Runner over gRPC: stubs, conversions, statuses, tokens, clients. No torch."""
