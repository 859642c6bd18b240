"""What a machine with a GPU is asked: ``python -m tests.gpu``, in under five minutes."""
