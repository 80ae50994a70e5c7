"""The processes of `vur serve`: a supervisor, its children, and how one starts and ends."""
