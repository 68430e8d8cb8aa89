"""What only a GPU or a TPU shows of ferjax, in stages that are processes of their own; see __main__.py."""
