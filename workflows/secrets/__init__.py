"""Secrets and variables: how they are kept, chosen, checked and shown."""
