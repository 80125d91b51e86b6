"""A run as a question and its answer: the checked request, its identity, what is kept, and the trajectory."""
