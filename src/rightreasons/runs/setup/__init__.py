"""From a recipe to data, splits, task, model and terms."""
