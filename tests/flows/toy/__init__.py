"""A kind of model as a user would add one: a class, and a file with its flow."""
