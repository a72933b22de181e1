"""Peers: what others need for the same work, each in an environment of its own. One runner a peer; see work.py.

A runner imports its own library and `work`, never ours, for it is run by its own Python. Its module docstring says
which settings it runs with and why, and the page of its documentation that says so.
"""
