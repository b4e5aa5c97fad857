"""Train and evaluate the fits of a recipe, in this process or in several."""
