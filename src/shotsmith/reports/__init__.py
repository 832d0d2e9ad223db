"""The report of a run: what it says is decided in `facts` and `findings`, how in `language`, `markdown` and `html`."""
