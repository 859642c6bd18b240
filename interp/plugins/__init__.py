"""The plugin contract: analyses of a Subject and measures of a Snapshot, with their options and results."""
