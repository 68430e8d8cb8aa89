"""What a compiler makes of the training step for a GPU or a TPU that is not here."""
