"""What is done to texts and measured on them: words, cleaning, scrubbing, languages."""
