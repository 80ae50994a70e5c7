"""One module a page; each has an `open` function that its notebook calls."""
