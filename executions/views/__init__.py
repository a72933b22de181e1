"""The pages of executions: start one, find one, watch one. Rows in, templates out; the engine works.

Somebody else's execution is unknown (404). Every page works without script: the socket only makes it move.
"""
