"""Sites with the look of other packages: admin themes, and forms in Bootstrap."""
