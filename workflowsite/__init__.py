"""The site: wires the rooms together and knows no business of its own."""
