//! What the index in Milvus asks of this store, and where its outbox is kept.
//!
//! Its tables are no part of the layout: they say only what Milvus was told, so they may be dropped while no server runs, and
//! everything is copied to Milvus anew. They are made by the first server that has Milvus in its settings.

use std::sync::Arc;
use std::time::Duration;

use likeness_domain::ports::{ChangeRef, GalleryEntry, Pending};
use likeness_domain::types::{FaceId, FaceSetId, PackId, Revision};
use likeness_domain::{Error, Kind, Result};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::errors::{Answer, Failure};
use super::gallery::gallery_page;
use super::rows::{self, SET_COLUMNS};
use super::session::{Database, Session};
use super::transaction::Step;
use super::{Abandoned, commits};
use crate::milvus::truth::{
    LargeSet, LogPage, Meanwhile, Outbox, OutboxSet, Place, Position, RowPage, Stage, Touched, Truth,
};

/// Number of the advisory lock of the server that writes to Milvus: "Milvus" as bytes.
const LEAD_LOCK: i64 = 0x4d69_6c76_7573;

/// Number of the advisory lock under which the tables are made.
const TABLES_LOCK: i64 = 0x4d69_6c76_7574;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS milvus_outbox (
        id int4 PRIMARY KEY CHECK (id = 1),
        name text COLLATE \"C\" NOT NULL, -- begins the names of collections
        revision int8 NOT NULL, -- everything up to this commit is in Milvus
        checksum int8 NOT NULL,
        seen int8 NOT NULL -- by Milvus' clock
    );
    CREATE TABLE IF NOT EXISTS milvus_sets (
        face_set int8 PRIMARY KEY,
        pack text COLLATE \"C\" NOT NULL,
        n_numbers int8 NOT NULL,
        stage text COLLATE \"C\" NOT NULL,
        next int8 NOT NULL
    );
    CREATE TABLE IF NOT EXISTS milvus_rebuilds (face_set int8 PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS milvus_choices (face_set int8 PRIMARY KEY, place text COLLATE \"C\" NOT NULL);
    DO $$ BEGIN
        -- Not at every start: it waits for every search under way, also of a server that hangs, and later ones wait for it.
        IF NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'milvus_outbox'::regclass AND attname = 'n_taken_back') THEN
            ALTER TABLE milvus_outbox ADD COLUMN IF NOT EXISTS flushed int8, ADD COLUMN IF NOT EXISTS flushed_checksum int8,
                ADD COLUMN n_taken_back int8 NOT NULL DEFAULT 0; -- how often Milvus turned out to have less
        END IF;
    END $$;
    INSERT INTO milvus_outbox (id, name, revision, checksum, seen) SELECT 1, substr(md5(random()::text || clock_timestamp()::text), 1, 10), revision, 0, 0 FROM store
        ON CONFLICT DO NOTHING;";

/// See the module's page.
pub(super) struct MilvusTruth {
    database: Arc<Database>,
    timeout: Duration,
    /// A connection besides those of the pool, and whether it has the lock of whoever writes.
    lead: tokio::sync::Mutex<Option<(Client, bool)>>,
}

const STAGES: [(Stage, &str); 3] =
    [(Stage::Filling, "filling"), (Stage::Served, "served"), (Stage::Refilling, "refilling")];

const PLACES: [(Place, &str); 2] = [(Place::Milvus, "milvus"), (Place::Nodes, "nodes")];

fn word_of(stage: Stage) -> &'static str {
    STAGES.iter().find(|(known, _)| *known == stage).map_or("", |(_, word)| word)
}

fn position(position: commits::Position) -> Position {
    Position { revision: position.revision, checksum: position.checksum }
}

impl MilvusTruth {
    /// Makes the tables if they are not there.
    pub(super) async fn open(database: Arc<Database>, timeout: Duration) -> Answer<Self> {
        let session = database.session().await?;
        let made = format!("BEGIN; SELECT pg_advisory_xact_lock({TABLES_LOCK}); {TABLES} COMMIT");
        if let Err(failure) = session.batch(&made).await {
            session.roll_back().await;
            return Err(failure);
        }
        Ok(Self { database, timeout, lead: tokio::sync::Mutex::default() })
    }

    /// Statements that see one state.
    async fn read<T>(
        &self,
        doing: &'static str,
        act: impl for<'a> Fn(&'a Session) -> Step<'a, T> + Send + Sync,
    ) -> Result<T> {
        let read = async {
            // One that is given up half way is not used again: whoever had it next would see the state of before.
            let session = Abandoned::guard(self.database.session().await?);
            session.get().begin_snapshot().await?;
            let answer = act(session.get()).await;
            session.done().roll_back().await;
            answer
        };
        let late = |_| Err(Failure::NoConnection("the database does not answer".into()));
        let answer: Answer<T> = tokio::time::timeout(self.timeout, read).await.unwrap_or_else(late);
        answer.map_err(|failure| {
            self.database.note(Some(&failure));
            failure.into_error(doing)
        })
    }

    async fn try_lead(&self, kept: &mut Option<(Client, bool)>) -> Answer<bool> {
        if kept.as_ref().is_none_or(|(client, _)| client.is_closed()) {
            let (client, connection) = self.database.connect().await?;
            tokio::spawn(connection);
            *kept = Some((client, false));
        }
        let Some((client, leads)) = kept else { return Ok(false) };
        if !*leads {
            *leads = if self.database.is_pooled() {
                Self::hold(client, "").await?
            } else {
                client.query_one("SELECT pg_try_advisory_lock($1)", &[&LEAD_LOCK]).await?.try_get(0)?
            };
            if *leads {
                tracing::info!("this server writes to Milvus from now on");
            }
        }
        Ok(*leads)
    }

    /// Tries to have the lock by a transaction that stays open, for connections that last no longer; `before` comes before it.
    async fn hold(client: &Client, before: &str) -> Answer<bool> {
        let sql = format!(
            "{before}BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL idle_in_transaction_session_timeout = 0; \
             SELECT pg_try_advisory_xact_lock({LEAD_LOCK})"
        );
        let said = client.simple_query(&sql).await?;
        let is_held = said.iter().any(|said| matches!(said, SimpleQueryMessage::Row(row) if row.get(0) == Some("t")));
        if !is_held {
            client.batch_execute("ROLLBACK").await?;
        }
        Ok(is_held)
    }

    /// Whether this server still leads afterwards.
    async fn try_save(&self, client: &Client, outbox: &Outbox) -> Answer<bool> {
        // What holds the lock is a transaction already.
        if !self.database.is_pooled() {
            client.batch_execute("BEGIN").await?;
        }
        let seen = outbox.seen.cast_signed();
        let sql =
            "UPDATE milvus_outbox SET revision = $1, checksum = $2, seen = $3, flushed = $4, flushed_checksum = $5,
                                            n_taken_back = $6";
        let [at, flushed] = [outbox.position, outbox.flushed].map(|at| (rows::number(at.revision.0), at.checksum));
        let n_taken_back = rows::number(outbox.n_taken_back);
        client.execute(sql, &[&at.0, &at.1, &seen, &flushed.0, &flushed.1, &n_taken_back]).await?;
        client.execute("DELETE FROM milvus_sets", &[]).await?;
        for (face_set, set) in &outbox.sets {
            let sql = "INSERT INTO milvus_sets (face_set, pack, n_numbers, stage, next) VALUES ($1, $2, $3, $4, $5)";
            let (id, n_numbers) = (rows::number(face_set.get()), rows::number(set.n_numbers as u64));
            let (pack, stage, next) = (set.pack.as_str(), word_of(set.stage), rows::number(set.next));
            client.execute(sql, &[&id, &pack, &n_numbers, &stage, &next]).await?;
        }
        let done: Vec<i64> = outbox.rebuilds.iter().map(|face_set| rows::number(face_set.get())).collect();
        client.execute("DELETE FROM milvus_rebuilds WHERE face_set = ANY($1)", &[&done]).await?;
        if self.database.is_pooled() {
            return Self::hold(client, "COMMIT; ").await;
        }
        client.batch_execute("COMMIT").await?;
        Ok(true)
    }
}

/// Has every set that is in Milvus copied anew, if there is a Milvus: it may have been told of commits that the database lacks.
pub(super) async fn distrust(session: &Session) -> Answer<()> {
    if !session.exists("SELECT 1 WHERE to_regclass('milvus_rebuilds') IS NOT NULL", &[]).await? {
        return Ok(());
    }
    let sql = "INSERT INTO milvus_rebuilds SELECT face_set FROM milvus_sets ON CONFLICT DO NOTHING";
    if session.execute(sql, &[]).await? > 0 {
        tracing::warn!("Milvus may have been told of commits that the database lacks, its face sets are copied anew");
    }
    Ok(())
}

async fn load(session: &Session) -> Answer<Outbox> {
    let sql =
        "SELECT name, revision, checksum, seen, coalesce(flushed, revision), coalesce(flushed_checksum, checksum),
                      n_taken_back FROM milvus_outbox";
    let row = session.one(sql, &[]).await?;
    let position = Position { revision: Revision(rows::whole(&row, 1)?), checksum: row.try_get(2)? };
    let flushed = Position { revision: Revision(rows::whole(&row, 4)?), checksum: row.try_get(5)? };
    let seen = rows::whole(&row, 3)?;
    let n_taken_back = rows::whole(&row, 6)?;
    let mut outbox = Outbox { name: row.try_get(0)?, position, flushed, n_taken_back, seen, ..Outbox::default() };
    let sql = "SELECT face_set, pack, n_numbers, stage, next FROM milvus_sets";
    for row in session.query(sql, &[]).await? {
        let (pack, word): (&str, &str) = (row.try_get(1)?, row.try_get(3)?);
        let stage = STAGES.iter().find(|(_, known)| *known == word).map(|(stage, _)| *stage);
        let damaged = || Failure::Damaged("a row of milvus_sets is malformed".into());
        let set = OutboxSet {
            pack: PackId::new(pack).ok_or_else(damaged)?,
            n_numbers: rows::whole(&row, 2)? as usize,
            stage: stage.ok_or_else(damaged)?,
            next: rows::whole(&row, 4)?,
        };
        outbox.sets.insert(rows::face_set_id(row.try_get(0)?)?, set);
    }
    for row in session.query("SELECT face_set FROM milvus_rebuilds", &[]).await? {
        outbox.rebuilds.push(rows::face_set_id(row.try_get(0)?)?);
    }
    for row in session.query("SELECT face_set, place FROM milvus_choices", &[]).await? {
        let word: &str = row.try_get(1)?;
        let place = PLACES.iter().find(|(_, known)| *known == word).map(|(place, _)| *place);
        let damaged = || Failure::Damaged("a row of milvus_choices is malformed".into());
        outbox.chosen.insert(rows::face_set_id(row.try_get(0)?)?, place.ok_or_else(damaged)?);
    }
    Ok(outbox)
}

async fn log(session: &Session, after: Position, limit: i64) -> Answer<LogPage> {
    let newest = commits::last(session).await?;
    if after.revision == newest.revision && (after.checksum == 0 || after.checksum == newest.checksum) {
        return Ok(LogPage::Commits { touched: Vec::new(), reached: after, has_more: false });
    }
    let lost = LogPage::Lost { newest: position(newest) };
    // The commit of the position comes along, to see that the history is still the same.
    let mut stored = match commits::from(session, after.revision, limit + 1).await {
        Err(Failure::Damaged(_)) => return Ok(lost),
        stored => stored?,
    };
    if let Some(first) = stored.first().filter(|first| first.position.revision == after.revision) {
        if after.checksum != 0 && after.checksum != first.position.checksum {
            return Ok(lost);
        }
        stored.remove(0);
    }
    let Some(last) = stored.last() else { return Ok(lost) };
    if !commits::is_chain(&stored, after.revision) {
        return Ok(lost);
    }
    let reached = position(last.position);
    let touched = stored.iter().flat_map(|commit| {
        commit.changes().iter().filter_map(|change| {
            let touched = match change {
                ChangeRef::Closed(face_set) => Touched::Closed(*face_set),
                ChangeRef::Put(face_set, face) | ChangeRef::Removed(face_set, face) => Touched::Face(*face_set, *face),
                _ => return None,
            };
            Some((commit.position.revision, touched))
        })
    });
    Ok(LogPage::Commits { touched: touched.collect(), reached, has_more: reached.revision < newest.revision })
}

impl Truth for MilvusTruth {
    fn large_sets(&self, n_faces_min: u64, also: Vec<FaceSetId>) -> Pending<'_, Vec<LargeSet>> {
        let also: Vec<i64> = also.into_iter().map(|face_set| rows::number(face_set.get())).collect();
        Box::pin(async move {
            self.read("look for large face sets", |session| {
                let (n_faces_min, also) = (rows::number(n_faces_min), also.clone());
                Box::pin(async move {
                    let sql = "SELECT id, pack, n_gallery FROM face_sets
                               WHERE name IS NOT NULL AND (n_gallery >= $1 OR id = ANY($2))";
                    // Those that are named are found by their ids.
                    let by_id = "SELECT id, pack, n_gallery FROM face_sets WHERE name IS NOT NULL AND id = ANY($1)";
                    let found = match n_faces_min {
                        i64::MAX => session.query(by_id, &[&also]).await?,
                        _ => session.query(sql, &[&n_faces_min, &also]).await?,
                    };
                    let mut sets = Vec::with_capacity(found.len());
                    for row in &found {
                        let damaged = || Failure::Damaged("the pack of a face set is malformed".into());
                        sets.push(LargeSet {
                            face_set: rows::face_set_id(row.try_get(0)?)?,
                            pack: PackId::new(row.try_get(1)?).ok_or_else(damaged)?,
                            n_faces: rows::whole(row, 2)?,
                        });
                    }
                    Ok(sets)
                })
            })
            .await
        })
    }

    fn rows(&self, face_set: FaceSetId, faces: Vec<FaceId>) -> Pending<'_, Vec<GalleryEntry>> {
        Box::pin(async move {
            let faces = &faces;
            self.read("look up faces", |session| {
                let faces = faces.clone();
                Box::pin(async move { commits::shown(session, face_set, &faces).await })
            })
            .await
        })
    }

    fn page(&self, face_set: FaceSetId, from: u64, limit: usize) -> Pending<'_, RowPage> {
        Box::pin(async move {
            self.read("read a face set", |session| {
                Box::pin(async move {
                    let sql =
                        format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.id = $1 AND s.name IS NOT NULL");
                    let Some(row) = session.first(&sql, &[&rows::number(face_set.get())]).await? else {
                        return Ok(RowPage::default());
                    };
                    let set = rows::set_row(&row)?.face_set;
                    let page = gallery_page(session, &set, rows::number(from) - 1, limit as i64).await?;
                    Ok(RowPage { rows: page.entries, next: page.last.map(|last| last.cast_unsigned() + 1) })
                })
            })
            .await
        })
    }

    fn newest(&self) -> Pending<'_, Position> {
        Box::pin(async move {
            self.read("look for commits", |session| {
                Box::pin(async move { Ok(position(commits::last(session).await?)) })
            })
            .await
        })
    }

    fn log(&self, after: Position, limit: usize) -> Pending<'_, LogPage> {
        Box::pin(
            async move { self.read("read the commits", |session| Box::pin(log(session, after, limit as i64))).await },
        )
    }

    fn meanwhile(&self, after: Position, limit: usize) -> Pending<'_, Meanwhile> {
        Box::pin(async move {
            self.read("read the commits", |session| {
                Box::pin(async move {
                    let row = session.one("SELECT n_taken_back FROM milvus_outbox", &[]).await?;
                    let n_taken_back = rows::whole(&row, 0)?;
                    Ok(Meanwhile { log: log(session, after, limit as i64).await?, n_taken_back })
                })
            })
            .await
        })
    }

    fn load(&self) -> Pending<'_, Outbox> {
        Box::pin(async move { self.read("look what Milvus was told", |session| Box::pin(load(session))).await })
    }

    fn lead(&self) -> Pending<'_, bool> {
        Box::pin(async move {
            let mut kept = self.lead.lock().await;
            let late = |_| Err(Failure::NoConnection("the database does not answer".into()));
            let leads = tokio::time::timeout(self.timeout, self.try_lead(&mut kept)).await.unwrap_or_else(late);
            leads.map_err(|failure| {
                *kept = None;
                failure.into_error("find out which server writes to Milvus")
            })
        })
    }

    fn ask_for_rebuild(&self, face_set: FaceSetId) -> Pending<'_, ()> {
        Box::pin(async move {
            let asked = async {
                let session = self.database.session().await?;
                let sql = "INSERT INTO milvus_rebuilds (face_set) VALUES ($1) ON CONFLICT DO NOTHING";
                session.execute(sql, &[&rows::number(face_set.get())]).await
            };
            asked.await.map(drop).map_err(|failure: Failure| failure.into_error("ask for a copy"))
        })
    }

    fn choose(&self, face_set: FaceSetId, place: Option<Place>) -> Pending<'_, ()> {
        Box::pin(async move {
            let word = PLACES.iter().find(|(known, _)| Some(*known) == place).map(|(_, word)| *word);
            let chosen = async {
                let session = self.database.session().await?;
                // Those of sets that are gone go with it.
                let sql = "WITH gone AS (DELETE FROM milvus_choices AS c WHERE face_set <> $1 AND NOT EXISTS
                                           (SELECT 1 FROM face_sets AS s WHERE s.id = c.face_set AND s.name IS NOT NULL)),
                           back AS (DELETE FROM milvus_choices WHERE face_set = $1 AND $2::text IS NULL)
                           INSERT INTO milvus_choices SELECT $1, $2 WHERE $2 IS NOT NULL
                           ON CONFLICT (face_set) DO UPDATE SET place = excluded.place";
                session.execute(sql, &[&rows::number(face_set.get()), &word]).await
            };
            chosen.await.map(drop).map_err(|failure: Failure| failure.into_error("keep where the face set is wanted"))
        })
    }

    fn save(&self, outbox: Outbox) -> Pending<'_, ()> {
        Box::pin(async move {
            let mut kept = self.lead.lock().await;
            let Some((client, leads @ true)) = kept.as_mut() else {
                return Err(Error::new(Kind::Internal, "another server writes to Milvus"));
            };
            let late = |_| Err(Failure::NoConnection("the database does not answer".into()));
            let saved = tokio::time::timeout(self.timeout, self.try_save(client, &outbox)).await.unwrap_or_else(late);
            saved.map(|still_leads| *leads = still_leads).map_err(|failure| {
                // The lock is gone with the connection, and taken again with another one.
                *kept = None;
                failure.into_error("keep what Milvus was told")
            })
        })
    }
}
