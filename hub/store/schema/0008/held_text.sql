-- Texts held here that notifications name, each once, by a hash of the document: what was accepted is sent as it was worded then.
CREATE TABLE held_text (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL,
    document BLOB NOT NULL
) STRICT;
