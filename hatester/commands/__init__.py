"""Commands: what each task of tasks.py does."""
