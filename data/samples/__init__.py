"""Small real data that ship with the project; README.md in this folder gives source, licence and contents."""
