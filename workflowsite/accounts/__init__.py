"""Who comes in, and how: sign-in and its throttle, the first owner, API tokens."""
