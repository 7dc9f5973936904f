"""What the documentation needs and Sphinx has not; each module is a Sphinx extension."""
