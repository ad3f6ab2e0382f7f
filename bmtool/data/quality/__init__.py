"""The quality of documents in one pass, shared by the filters of Gopher, C4 and FineWeb."""
