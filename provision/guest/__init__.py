"""What runs inside a guest: the standard library only, Python 3.9 and later."""
