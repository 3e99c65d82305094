"""The Runner of this process: models, dictionaries, edits and attribution put together."""
