"""What jax compiled, as its log says."""


def list_compiled(caplog):
    """Return the names of the programs that were compiled or read from the cache within `jax.log_compiles()`."""
    texts = [record.getMessage() for record in caplog.records]
    return [text.split()[1] for text in texts if text.startswith("Compiling ")]
