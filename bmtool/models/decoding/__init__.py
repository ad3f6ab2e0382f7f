"""Models that write texts: learning to, judging them, and looking for what they write."""
