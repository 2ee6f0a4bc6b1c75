"""The rules of prepaid electricity: pure, integer, synchronous. No clock, no chance, no I/O.

The building acts on these rules and the centre books by them; both import the same functions.
"""
