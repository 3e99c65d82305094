"""The wire contract, generated from protos/ by steerboard.api.generate."""
