"""What stands around the application: who asks, how much they may ask for, and what is seen of it."""
