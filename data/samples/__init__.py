"""Small real data that ship with the project; README.md beside this file gives source, licence and contents."""
