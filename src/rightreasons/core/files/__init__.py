"""Files: written whole or not at all, and read with every damage told in one line."""
