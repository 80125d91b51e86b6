"""What is learned: covariances, labels, models, and theories stated by a self-energy."""
