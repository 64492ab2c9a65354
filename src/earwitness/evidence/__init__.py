"""What a run saw, kept as files: storage, redaction, bundles."""
