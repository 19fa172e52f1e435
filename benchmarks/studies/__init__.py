"""The study: its cells, what is made of them, and the document that they become."""
