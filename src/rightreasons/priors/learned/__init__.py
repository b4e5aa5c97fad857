"""Priors learned from side information about features, and their interpretation."""
