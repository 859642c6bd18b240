"""What an update does: the loss that is minimised, changes of its gradient, optimizers, rates, what is held fixed."""
