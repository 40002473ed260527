"""Order entry: public protocols in, commands out."""
