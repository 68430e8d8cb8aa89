"""How good answers are: a confusion matrix, its scores, and how true the confidences are."""
