"""What the endpoints show and change, apart from HTTP."""
