"""Runs that other tools have logged: Weights & Biases, TensorBoard, Lightning, the Trainer of Hugging Face."""
