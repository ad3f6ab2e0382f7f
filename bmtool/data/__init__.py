"""Libraries for data: Arrow in, Arrow out."""
