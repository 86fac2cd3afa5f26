"""Sites that benchmarks start under application servers; each is made by its environment."""
