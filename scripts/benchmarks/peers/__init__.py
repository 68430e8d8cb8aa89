"""A network in use beside other packages for facial expressions, each in a process of its own."""
