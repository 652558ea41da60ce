-- What the hub remembers. Common to all drivers; what only one understands is in 0001_core.<driver>.sql.
--
-- Every row names its workspace, and every reference carries it along, so that a row of one
-- workspace cannot point at a row of another. Times are Unix seconds, NULL is "never"; hashes
-- and public keys are 64 lower-case hex digits.

CREATE TABLE workspaces (
    id        TEXT   NOT NULL PRIMARY KEY,
    name      TEXT   NOT NULL UNIQUE,
    created   BIGINT NOT NULL,
    audit_seq BIGINT NOT NULL DEFAULT 0 -- seq of the newest audit row
);

CREATE TABLE api_keys (
    id        TEXT   NOT NULL PRIMARY KEY,
    workspace TEXT   NOT NULL REFERENCES workspaces (id),
    prefix    TEXT   NOT NULL,
    hash      TEXT   NOT NULL UNIQUE CHECK (length(hash) = 64),
    scope     TEXT   NOT NULL,
    created   BIGINT NOT NULL,
    last_used BIGINT,
    revoked   BIGINT,
    expires   BIGINT
);
CREATE INDEX api_keys_by_age ON api_keys (workspace, created, id);

CREATE TABLE agents (
    id          TEXT   NOT NULL PRIMARY KEY,
    workspace   TEXT   NOT NULL REFERENCES workspaces (id),
    label       TEXT   NOT NULL,
    public_key  TEXT   NOT NULL CHECK (length(public_key) = 64),
    enrolled_by TEXT   NOT NULL, -- id of the key, '' for none
    created     BIGINT NOT NULL,
    last_seen   BIGINT,
    revoked     BIGINT,
    UNIQUE (workspace, id)
);
CREATE INDEX agents_by_age ON agents (workspace, created, id);
CREATE INDEX agents_by_label ON agents (workspace, label) WHERE revoked IS NULL;
CREATE INDEX agents_by_key ON agents (workspace, public_key) WHERE revoked IS NULL;

CREATE TABLE agent_tokens (
    hash        TEXT   NOT NULL PRIMARY KEY CHECK (length(hash) = 64),
    workspace   TEXT   NOT NULL,
    agent       TEXT   NOT NULL,
    created     BIGINT NOT NULL,
    expires     BIGINT NOT NULL,
    used        BIGINT, -- for the first time
    replaced    BIGINT,
    replaced_by TEXT,   -- the hash of the one that came after
    grace_until BIGINT, -- until when it may still ask for another one
    FOREIGN KEY (workspace, agent) REFERENCES agents (workspace, id)
);
CREATE INDEX agent_tokens_by_agent ON agent_tokens (workspace, agent, created);
-- An agent has one token; the schema itself lets only one rotation win.
CREATE UNIQUE INDEX agent_tokens_current ON agent_tokens (workspace, agent) WHERE replaced IS NULL;

CREATE TABLE services (
    workspace TEXT   NOT NULL,
    name      TEXT   NOT NULL,
    agent     TEXT   NOT NULL,
    protocol  TEXT   NOT NULL,
    target    TEXT   NOT NULL,
    created   BIGINT NOT NULL,
    PRIMARY KEY (workspace, name),
    FOREIGN KEY (workspace, agent) REFERENCES agents (workspace, id)
);
CREATE INDEX services_by_agent ON services (workspace, agent, name);

CREATE TABLE audit (
    workspace TEXT   NOT NULL REFERENCES workspaces (id),
    seq       BIGINT NOT NULL, -- 1, 2, 3 … in its workspace
    time      BIGINT NOT NULL,
    type      TEXT   NOT NULL,
    actor     TEXT   NOT NULL,
    subject   TEXT   NOT NULL,
    address   TEXT   NOT NULL,
    detail    TEXT   NOT NULL,
    PRIMARY KEY (workspace, seq)
);
