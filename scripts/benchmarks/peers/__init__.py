"""A network in use beside other packages for facial expressions, each in an environment of its own."""
