"""DeepLIFT."""
