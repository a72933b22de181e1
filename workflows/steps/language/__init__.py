"""Asking a language model: where it is, what it is asked, what it says while it answers, and what is wrong with it.

`asking`, `refusals` and `wire` import the providers' libraries (about 100 MB and two seconds), so nothing but a step
that asks a real model imports them, and it does so in a thread. The other rooms are light.
"""
