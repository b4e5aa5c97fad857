"""Named data sets: what each is, and where it is found."""
