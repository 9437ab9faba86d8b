"""The demo: a synthetic signer and a small dataset of it."""
