-- A project that is being removed: no token works for it any more, and what it had is being taken
-- away. Its name is free again: it is called by its id until it is gone.
ALTER TABLE projects ADD COLUMN removed_at BIGINT;

-- Tokens get a name, limits (a JSON text) and perhaps admin rights; those of all projects have no
-- project.
CREATE TABLE tokens_of_operators_too (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT REFERENCES projects (id),
    name TEXT NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    permissions TEXT NOT NULL,
    limits TEXT NOT NULL,
    admin BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

-- Until now the only token was the one of the first start.
INSERT INTO tokens_of_operators_too
    (id, project, name, hash, permissions, limits, admin, created_at, expires_at)
SELECT id, project, 'admin', hash, permissions, '{}', 1, created_at, expires_at FROM tokens;

DROP TABLE tokens;
ALTER TABLE tokens_of_operators_too RENAME TO tokens;
CREATE INDEX tokens_by_project ON tokens (project);

-- How many operations of its token may go at once beside this one; none: as many as the server
-- lets a project.
ALTER TABLE operations ADD COLUMN token_width BIGINT;

CREATE INDEX images_by_project ON images (project, created_at, id);
