"""Models of transformers as they are loaded: processors, adapters, memory."""
