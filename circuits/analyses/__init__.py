"""The analyses of circuits: each turns a Subject into a Result for a report."""
