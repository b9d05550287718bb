"""What images and sessions have in common."""
