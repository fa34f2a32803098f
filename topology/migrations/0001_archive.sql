-- The archive: what lists and searches read. Kafka is the truth; all of this can be made again from it.
-- Texts that order pages compare by bytes (COLLATE "C"), whatever the database's own collation is.

CREATE TABLE events (
    event_id       text COLLATE "C" NOT NULL,  -- begins with <id>!<birth>!: a message's events are one range of the key
    at             timestamptz NOT NULL,
    partition      integer NOT NULL,           -- of the topic `events`, and the offset in it
    position       bigint NOT NULL,
    id             text COLLATE "C" NOT NULL,
    birth          bigint NOT NULL,
    kind           text NOT NULL,
    revision       integer NOT NULL,
    state          text NOT NULL,
    target         integer,
    turn           integer,
    attempt        integer,
    channel        text,
    delivery_state text,
    due_at         timestamptz,
    started_at     timestamptz,
    maybe_sent     boolean NOT NULL,
    reason         text NOT NULL,
    response       text,                       -- JSON
    message        text,                       -- JSON, without the body
    PRIMARY KEY (event_id, at)
) PARTITION BY RANGE (at);

CREATE TABLE messages (
    id          text COLLATE "C" NOT NULL,
    birth       bigint NOT NULL,               -- tells a message from an earlier one with the same id
    partition   integer NOT NULL,
    position    bigint NOT NULL,               -- of the last event taken in; a lower one changes nothing
    revision    integer NOT NULL,
    state       text,
    due_at      timestamptz NOT NULL,
    priority    integer,
    account     text COLLATE "C",
    flow        text COLLATE "C",
    channels    text[],
    tags        text[],
    message     text,                          -- JSON, without the body; null: only later events are known
    body        text,                          -- JSON, as it was given
    body_base64 text,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    finished_at timestamptz,
    erased      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (id, birth)
);

CREATE INDEX messages_due ON messages (due_at, id, birth);
CREATE INDEX messages_account ON messages (account, due_at, id, birth) WHERE account IS NOT NULL;
CREATE INDEX messages_tags ON messages USING gin (tags) WHERE tags <> '{}';
-- Of the states in which a message stays, all but the one of nearly all messages.
CREATE INDEX messages_rare ON messages (state, due_at, id, birth) WHERE state NOT IN ('scheduled', 'delivered');
CREATE INDEX messages_finished ON messages (finished_at) WHERE finished_at IS NOT NULL;

-- A target that nothing has happened to has no row. Message id and target are the delivery key.
CREATE TABLE deliveries (
    id         text COLLATE "C" NOT NULL,
    birth      bigint NOT NULL,
    target     integer NOT NULL,
    position   bigint NOT NULL,
    state      text NOT NULL,
    channel    text NOT NULL,
    turn       integer NOT NULL,
    attempts   integer NOT NULL,
    due_at     timestamptz,
    started_at timestamptz,
    updated_at timestamptz NOT NULL,
    maybe_sent boolean NOT NULL,
    held       boolean NOT NULL,               -- a dead letter: it waits for a person
    reason     text NOT NULL,
    response   text,                           -- JSON
    PRIMARY KEY (id, birth, target)
);

CREATE INDEX deliveries_held ON deliveries (updated_at, id, birth, target) WHERE held;

-- How far the archive is, per partition of `events`: written with the rows, so each event counts once.
CREATE TABLE offsets (
    partition integer PRIMARY KEY,
    topic_id  text NOT NULL,
    next      bigint NOT NULL,
    as_of     timestamptz NOT NULL
);

-- A month of events. Months are UTC.
CREATE FUNCTION make_events_month(month date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
        to_char(month, '"events_"YYYY_MM'),
        to_char(month, 'YYYY-MM-01 00:00:00+00'),
        to_char(month + interval '1 month', 'YYYY-MM-01 00:00:00+00')
    );
END $$;

-- The months that ended before a time, dropped; their names.
CREATE FUNCTION drop_events_before(moment timestamptz) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'events'::regclass
          AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= moment AT TIME ZONE 'UTC'
    LOOP
        EXECUTE format('DROP TABLE %I', name);
        RETURN NEXT name;
    END LOOP;
END $$;
