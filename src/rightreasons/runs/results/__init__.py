"""What a run wrote: files, scores, comparisons and verdicts."""
