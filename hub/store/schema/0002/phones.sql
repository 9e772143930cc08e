-- Phones that users sign in with, by the id that the app made. `sign_in` is JSON, NULL once its user has signed off; then
-- the row stays until the engine has heard of it. `channel` is a hash of the push channel. `written` is a digest of what the engine has, empty while that may differ.
CREATE TABLE phone (
    hub          TEXT NOT NULL,
    phone        TEXT NOT NULL,
    person       TEXT,
    registration TEXT NOT NULL,
    installation TEXT NOT NULL,
    sign_in      TEXT,
    channel      INTEGER,
    written      TEXT NOT NULL,
    etag         INTEGER NOT NULL,
    changed_at   REAL NOT NULL,
    expires_at   REAL NOT NULL,
    PRIMARY KEY (hub, phone)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX phone_registration ON phone (hub, registration);
CREATE INDEX phone_person ON phone (person, hub) WHERE person IS NOT NULL;
CREATE INDEX phone_channel ON phone (channel, hub) WHERE channel IS NOT NULL;
CREATE INDEX phone_unwritten ON phone (hub, changed_at) WHERE written = '';
CREATE INDEX phone_expiry ON phone (expires_at);

-- What a user wants to hear of on a phone: of both together, so that another user of the phone gets none of it. It stays when
-- the user signs off. `n` is a hash of person, hub and phone; `topics` is JSON.
CREATE TABLE subscription (
    n      INTEGER PRIMARY KEY,
    person TEXT NOT NULL,
    hub    TEXT NOT NULL,
    phone  TEXT NOT NULL,
    topics TEXT NOT NULL,
    at     REAL NOT NULL
) STRICT;
CREATE INDEX subscription_person ON subscription (person);
CREATE INDEX subscription_at ON subscription (at);
