"""What is known of the whole house at a glance."""
