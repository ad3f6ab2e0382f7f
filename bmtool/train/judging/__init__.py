"""What a trained model is worth beside others."""
