"""One HTTP exchange, from what was asked to what it means: used by the step kind `http`."""
