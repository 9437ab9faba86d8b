"""A synthetic signer whose joints are known, and the demo dataset that is made of it."""
