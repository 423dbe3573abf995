"""Sources that texts may come from: what each predicts after histories, and its slopes."""
