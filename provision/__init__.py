"""What makes and enters a guest."""
