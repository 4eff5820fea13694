"""What runs used, and what they may still use."""
