"""What each client does, a file each: a function for each feature that applies, which returns what the client had."""
