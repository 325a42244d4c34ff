"""The program that runs in a guest: standard library only, Python 3.9 or later."""
