//! What is stored, and whether it hangs together.

use std::sync::Arc;

use likeness_domain::filter::Filter;
use likeness_domain::ports::{ReportProgress, StoreReport};
use likeness_domain::types::{FaceSetId, Revision, TenantId};

use super::errors::{Answer, Failure};
use super::rows::{self, FACE_COLUMNS, PERSON_COLUMNS, SET_COLUMNS, VECTOR_COLUMNS};
use super::schema::SCHEMA_VERSION;
use super::session::Session;
use super::{Shared, commits, deletes, migration, respell, thumbnails, transient};
use crate::embedded::codec;
use crate::migration::kinds::{Cell, KINDS};

/// Most problems that are listed: the first ones are what a person can use.
const PROBLEMS_MAX: usize = 100;

/// Rows read at once.
const PAGE: i64 = 4096;

/// Must hold between tables and is held by no rule of the database's: what is wrong, what finds it as texts that name it, and
/// what to do.
const RULES: &[(&str, &str, &str)] = &[
    (
        "a face set counts another number of gallery rows than it has",
        "SELECT 'face set ' || s.id FROM face_sets AS s WHERE s.name IS NOT NULL
         AND s.n_gallery <> (SELECT count(*) FROM gallery AS g WHERE g.face_set = s.id)",
        COUNTED,
    ),
    (
        "a face set counts another number of own faces than it has",
        "WITH counted AS (SELECT face_set AS id, count(*) AS n FROM faces WHERE face_set IS NOT NULL GROUP BY face_set)
         SELECT 'face set ' || s.id FROM face_sets AS s LEFT JOIN counted AS c ON c.id = s.id
         WHERE s.n_owned <> coalesce(c.n, 0)",
        COUNTED,
    ),
    (
        "a person counts another number of faces than it has",
        "SELECT 'person ' || p.id FROM persons AS p
         WHERE p.n_faces <> (SELECT count(*) FROM faces AS f WHERE f.person = p.id)",
        COUNTED,
    ),
    (
        "a tenant counts another number of face sets, persons or faces than it has",
        "WITH owned AS (
             SELECT tenant, count(*) AS n_face_sets, sum(n_owned) AS n_faces, 0 AS n_persons FROM face_sets
             WHERE name IS NOT NULL GROUP BY tenant
             UNION ALL
             SELECT tenant, 0, sum(n_faces), count(*) FROM persons WHERE key IS NOT NULL GROUP BY tenant),
         counted AS (SELECT tenant, sum(n_face_sets) AS n_face_sets, sum(n_faces) AS n_faces, sum(n_persons) AS n_persons
                     FROM owned GROUP BY tenant)
         SELECT 'tenant ' || encode(coalesce(u.tenant, c.tenant), 'hex')
         FROM tenant_usage AS u FULL JOIN counted AS c ON c.tenant = u.tenant
         WHERE (coalesce(u.n_face_sets, 0), coalesce(u.n_faces, 0), coalesce(u.n_persons, 0))
            IS DISTINCT FROM (coalesce(c.n_face_sets, 0), coalesce(c.n_faces, 0), coalesce(c.n_persons, 0))",
        COUNTED,
    ),
    (
        "a face set's own face is missing from its gallery",
        "SELECT 'face ' || f.id || ' of face set ' || f.face_set FROM faces AS f
         JOIN face_sets AS s ON s.id = f.face_set JOIN templates AS t ON t.face = f.sequence AND t.pack = s.pack
         WHERE s.name IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM gallery AS g WHERE g.face_set = f.face_set AND g.sequence = f.sequence)",
        RESTORE,
    ),
    (
        "a member's face is missing from a gallery",
        "SELECT 'face ' || f.id || ', face set ' || s.id FROM memberships AS m JOIN face_sets AS s ON s.id = m.face_set
         JOIN faces AS f ON f.person = m.person JOIN templates AS t ON t.face = f.sequence AND t.pack = s.pack
         WHERE s.name IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM gallery AS g WHERE g.face_set = s.id AND g.sequence = f.sequence)",
        RESTORE,
    ),
    (
        "a gallery shows a face that does not belong there",
        "SELECT 'face set ' || g.face_set || coalesce(', face ' || f.id, ', a face that is not there')
         FROM gallery AS g JOIN face_sets AS s ON s.id = g.face_set LEFT JOIN faces AS f ON f.sequence = g.sequence
         WHERE s.name IS NOT NULL
         AND (f.sequence IS NULL
           OR NOT EXISTS (SELECT 1 FROM templates AS t WHERE t.face = f.sequence AND t.pack = s.pack)
           OR NOT (f.face_set IS NOT DISTINCT FROM g.face_set OR EXISTS
             (SELECT 1 FROM memberships AS m WHERE m.person = f.person AND m.face_set = g.face_set)))",
        RESTORE,
    ),
    (
        "a membership joins a face set and a person of different tenants",
        "SELECT 'face set ' || m.face_set || ', person ' || m.person FROM memberships AS m
         JOIN face_sets AS s ON s.id = m.face_set JOIN persons AS p ON p.id = m.person
         WHERE s.tenant <> p.tenant OR p.key IS NULL",
        RESTORE,
    ),
    (
        "a face has the id of a held face, or one that is the source of another",
        "SELECT 'face ' || f.id FROM faces AS f JOIN held_faces AS h ON h.id = f.id
         UNION ALL SELECT 'face ' || f.id FROM faces AS f JOIN faces AS g ON g.source_face = f.id",
        "delete the face by its id and enrol it again",
    ),
    (
        "a template belongs to no face",
        "SELECT 'template of the face with sequence ' || t.face FROM templates AS t
         WHERE NOT EXISTS (SELECT 1 FROM faces AS f WHERE f.sequence = t.face)",
        RESTORE,
    ),
    (
        "a thumbnail belongs to no face",
        "SELECT 'thumbnail of the face with sequence ' || t.face FROM thumbnails AS t
         WHERE NOT EXISTS (SELECT 1 FROM faces AS f WHERE f.sequence = t.face)
         AND NOT EXISTS (SELECT 1 FROM held_faces AS h WHERE h.sequence = t.face)",
        RESTORE,
    ),
    (
        "a face has no template of the pack it was enrolled with",
        "SELECT 'face ' || f.id FROM faces AS f
         WHERE NOT EXISTS (SELECT 1 FROM templates AS t WHERE t.face = f.sequence AND t.pack = f.pack)",
        "delete the face by its id and enrol it again, or restore a backup",
    ),
];

const COUNTED: &str = "somebody has changed the tables by hand: correct the number";
const RESTORE: &str = "somebody has changed the tables by hand, or the database is damaged: restore a backup of it";

/// See `GalleryStore::report`. The session sees one state.
pub(super) async fn report(shared: &Shared, session: &Session, thorough: bool) -> Answer<StoreReport> {
    let sql = "SELECT (SELECT revision FROM store), (SELECT count(*) FROM tenants),
            (SELECT count(*) FROM face_sets WHERE name IS NOT NULL), (SELECT count(*) FROM persons WHERE key IS NOT NULL),
            (SELECT coalesce(sum(n_faces), 0)::int8 FROM tenant_usage), (SELECT count(*) FROM held_faces),
            ((SELECT coalesce(sum(n_owned), 0) FROM face_sets WHERE name IS NULL)
              + (SELECT coalesce(sum(n_faces), 0) FROM persons WHERE key IS NULL)
              + (SELECT coalesce(sum(length(faces) / 8), 0) FROM pending_deletes))::int8,
            pg_database_size(current_database())";
    let row = session.one(sql, &[]).await?;
    let mut report = StoreReport {
        backend: shared.database.shown().to_owned(),
        schema_version: SCHEMA_VERSION,
        revision: Revision(rows::whole(&row, 0)?),
        n_tenants: rows::whole(&row, 1)?,
        n_face_sets: rows::whole(&row, 2)?,
        n_persons: rows::whole(&row, 3)?,
        n_faces: rows::whole(&row, 4)?,
        n_held_faces: rows::whole(&row, 5)?,
        n_faces_to_erase: rows::whole(&row, 6)?,
        bytes_on_disk: rows::whole(&row, 7)?,
        notes: respell::notes(session).await?,
        ..StoreReport::default()
    };
    if thorough {
        look_at_everything(shared, session, &mut report).await?;
    } else {
        report.not_checked.push("rows, counters, links between tables, the index: `likeness check --thorough`".into());
    }
    report.not_checked.push("the database's own structures: `pg_amcheck`, and `initdb --data-checksums`".into());
    report.problems.truncate(PROBLEMS_MAX);
    Ok(report)
}

async fn look_at_everything(shared: &Shared, session: &Session, report: &mut StoreReport) -> Answer<()> {
    let problems = &mut report.problems;
    for (idx, (text, sql, cure)) in RULES.iter().enumerate() {
        shared.watch_report(Some(ReportProgress {
            stage: "links between tables",
            n_done: idx as u64,
            n_all: RULES.len() as u64,
        }));
        let found = session.query(&format!("{sql} LIMIT {PROBLEMS_MAX}"), &[]).await?;
        for row in &found {
            problems.push(format!("{text}: {}: {cure}", row.try_get::<_, String>(0)?));
        }
    }
    report.checked.push("counters, galleries, memberships, and what belongs to whom".into());
    let damaged = |problems: &mut Vec<String>, answer: Answer<()>| match answer {
        Err(Failure::Damaged(what)) => {
            problems.push(format!("{what}: restore a backup of the database, or delete it by its id"));
            Ok(())
        }
        answer => answer,
    };
    let sql = format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.name IS NOT NULL");
    for row in session.query(&sql, &[]).await? {
        damaged(problems, rows::set_row(&row).map(drop))?;
    }
    let sql = format!("SELECT {PERSON_COLUMNS} FROM persons AS p WHERE p.key IS NOT NULL");
    for row in session.query(&sql, &[]).await? {
        damaged(problems, rows::person_row(&row).map(drop))?;
    }
    transient::check(session, problems).await?;
    deletes::check(session, problems).await?;
    let (mut after, mut n_done) = (-1_i64, 0);
    loop {
        let sql = format!(
            "SELECT {FACE_COLUMNS}, {VECTOR_COLUMNS}, t.pack FROM faces AS f LEFT JOIN templates AS t ON t.face = f.sequence
             WHERE f.sequence IN (SELECT sequence FROM faces WHERE sequence > $1 ORDER BY sequence LIMIT $2)
             ORDER BY f.sequence"
        );
        let found = session.query(&sql, &[&after, &PAGE]).await?;
        let Some(last) = found.last() else { break };
        after = last.try_get(0)?;
        n_done += found.len() as u64;
        let progress = ReportProgress { stage: "faces and templates", n_done, n_all: report.n_faces };
        shared.watch_report(Some(progress));
        for row in &found {
            let face = rows::face_row(row, TenantId::from_bits(0)).map(drop);
            let template = match row.try_get::<_, Option<&str>>(rows::VECTOR_COLUMN + 3)? {
                Some(pack) => rows::template(row, rows::VECTOR_COLUMN, &codec::pack_of(pack)?).map(drop),
                None => Ok(()),
            };
            for (table, read) in [("faces", face), ("templates", template)] {
                let named = match read {
                    Err(Failure::Damaged(what)) => {
                        Err(Failure::Damaged(damaged_row(session, table, row.try_get(0)?).await.unwrap_or(what)))
                    }
                    read => read,
                };
                damaged(problems, named)?;
            }
        }
    }
    thumbnails::check(session, problems).await?;
    report
        .checked
        .push("the checksum of every face set, person, face, template, thumbnail, held face and pending delete".into());
    shared.watch_report(Some(ReportProgress { stage: "comparing names", n_done: 0, n_all: 0 }));
    report.notes.extend(respell::look_alikes(session).await?);
    report.checked.push("names that look alike (they are no problem)".into());
    compare_index(shared, session, report).await?;
    Ok(())
}

/// A damaged row of a face as its owner knows it.
async fn damaged_row(session: &Session, table: &str, sequence: i64) -> Option<String> {
    let kind = KINDS.iter().find(|kind| kind.table == table)?;
    let key = [Cell::Whole(sequence)];
    let owner = migration::owner_of(session, kind, &key).await?;
    Some(kind.damaged_row(&key, Some(owner)))
}

/// Compares the index with the galleries, if it is at the state that the session sees: with writes going on it is not, and
/// then that is said.
async fn compare_index(shared: &Shared, session: &Session, report: &mut StoreReport) -> Answer<()> {
    let truth = commits::last(session).await?;
    shared.follower.has_heard_of(truth.revision.0);
    shared.follower.wait_until(truth.revision, shared.settings.index_wait_max).await;
    let found = session.query("SELECT id FROM face_sets WHERE name IS NOT NULL ORDER BY sequence", &[]).await?;
    let mut different = Vec::new();
    for row in &found {
        let id: i64 = row.try_get(0)?;
        let set: FaceSetId = rows::face_set_id(id)?;
        let everything = Arc::new(Filter::Every(Vec::new()));
        let Ok(indexed) = shared.index.matching(set, everything).await else { continue };
        let sql = "SELECT sequence FROM gallery WHERE face_set = $1 ORDER BY sequence";
        let stored = session.query(sql, &[&id]).await?;
        let stored: Vec<u64> = stored.iter().map(|row| rows::whole(row, 0)).collect::<Answer<_>>()?;
        if indexed != stored {
            different.push(id);
        }
    }
    if shared.follower.position() == truth {
        report.problems.extend(different.into_iter().map(|id| {
            format!(
                "the index of this node shows other faces of face set {id} than the database has: restart this node"
            )
        }));
        report.checked.push("the index of this node: which faces each gallery shows".into());
    } else {
        report.not_checked.push("the index of this node, as there were writes meanwhile: ask again".into());
    }
    Ok(())
}
