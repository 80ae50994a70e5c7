"""What the endpoints read and change, independent of HTTP."""
