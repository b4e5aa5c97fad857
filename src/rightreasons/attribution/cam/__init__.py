"""Class activation maps: Grad-CAM and what builds on it."""
