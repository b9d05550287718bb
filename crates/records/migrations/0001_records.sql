-- Portable on purpose: TEXT, BIGINT, BYTEA and DOUBLE PRECISION columns alone. Ids are UUID texts,
-- moments are microseconds since the Unix epoch, maps and requests are JSON texts.

CREATE TABLE meta (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);

CREATE TABLE projects (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- The namespace everyone reads and no token writes.
INSERT INTO projects (id, name, created_at)
VALUES ('00000000-0000-0000-0000-000000000000', 'public', 0);

CREATE TABLE tokens (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL REFERENCES projects (id),
    hash BYTEA NOT NULL UNIQUE,
    permissions TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

-- A tree: what one run or import wrote, on top of its parent. `merged` names the folder that
-- holds this layer and its ancestors down to, and without, `merged_base`.
CREATE TABLE layers (
    id TEXT PRIMARY KEY NOT NULL,
    parent TEXT REFERENCES layers (id) DEFERRABLE INITIALLY DEFERRED,
    depth BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    merged TEXT UNIQUE,
    merged_base TEXT,
    merged_bytes BIGINT,
    merged_entries BIGINT
);
CREATE INDEX layers_by_parent ON layers (parent);

CREATE TABLE images (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL REFERENCES projects (id),
    layer TEXT NOT NULL REFERENCES layers (id),
    env TEXT NOT NULL,
    cwd TEXT,
    parent TEXT,
    operation TEXT,
    kind BIGINT NOT NULL,
    digest TEXT,
    size BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX images_by_age ON images (created_at, id);
CREATE INDEX images_by_layer ON images (layer);
CREATE INDEX images_by_digest ON images (digest) WHERE digest IS NOT NULL;

CREATE TABLE tags (
    project TEXT NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    image TEXT NOT NULL REFERENCES images (id),
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project, name)
);
CREATE INDEX tags_by_image ON tags (image);

CREATE TABLE operations (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL REFERENCES projects (id),
    token TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    error TEXT,
    request TEXT NOT NULL,
    image TEXT,
    result_image TEXT,
    result_tag TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    image_size BIGINT,
    cpu DOUBLE PRECISION,
    memory BIGINT
);
CREATE INDEX operations_by_age ON operations (project, created_at, id);
CREATE INDEX operations_by_status ON operations (project, status, created_at, id);
CREATE INDEX operations_open ON operations (created_at) WHERE status = 'PENDING';

CREATE TABLE files (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL REFERENCES projects (id),
    sha256 TEXT NOT NULL,
    size BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    UNIQUE (project, sha256)
);
CREATE INDEX files_by_age ON files (project, created_at, id);
CREATE INDEX files_by_use ON files (used_at);
