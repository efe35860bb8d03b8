"""The few widgets that the screens are made of: a virtual list, the two permanent lines, plain text, fields."""
