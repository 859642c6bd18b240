"""Circuit discovery: the smallest set of heads, neurons or edges that does the task, and when each became necessary."""
