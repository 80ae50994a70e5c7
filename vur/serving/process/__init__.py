"""The processes of `vur serve`: the supervisor, its children, their startup and shutdown."""
