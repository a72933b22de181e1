"""The `code` step's JavaScript: one jailed child for each run."""
