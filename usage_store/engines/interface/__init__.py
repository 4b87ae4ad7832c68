"""The interface of an engine: the types that every database engine provides."""
