"""The pages of workflows: find one, look at it, write it, publish it, put it away.

Somebody else's workflow is unknown (404); what one may see but not change has no form (403). Nothing runs in here:
executions are followed by the relation's name.
"""
