"""The pages of the demo, a module each."""
