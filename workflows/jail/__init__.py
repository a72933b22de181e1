"""Child processes that read what people wrote, and what they give up first."""
