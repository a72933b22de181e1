"""Everything that dials out passes here: addresses are checked, answers are bounded."""
