"""Means of maps over noise on inputs or weights: SmoothGrad, NoiseGrad, FusionGrad."""
