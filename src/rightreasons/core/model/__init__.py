"""Run the caller's model as an explanation needs it, and leave it as it was."""
