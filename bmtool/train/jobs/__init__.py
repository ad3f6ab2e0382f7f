"""What pre-training and fine-tuning start from: settings, rows and models, for the loop."""
