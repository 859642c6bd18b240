"""The registry of kinds of model: ours and those that other packages register."""
