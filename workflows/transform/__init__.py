"""What `set`, `list`, `convert` and `compute` do with data: pure, no Django, and each library imported when it is used.

Nothing here changes what came in: whatever differs is made anew. What cannot be done is a WorkflowStepError that says
which row and field, what was expected, and what came.
"""
