"""What is taken out as private: one component a file, found by its file name."""
