-- For how many registrations a notification may go without being held: as its sender confirmed, or an operator approved.
CREATE TABLE approval (
    queue        INTEGER NOT NULL,
    notification INTEGER NOT NULL,
    most         INTEGER NOT NULL,
    actor        TEXT NOT NULL,
    at           REAL NOT NULL,
    PRIMARY KEY (queue, notification)
) STRICT, WITHOUT ROWID;
