"""Readers of files: tables, arrays, images, expression matrices; at once or in chunks."""
