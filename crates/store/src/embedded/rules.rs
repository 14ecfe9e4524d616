//! What must hold between tables and is held by no rule of SQLite's: counters, galleries, who belongs to whom.

use super::errors::RECOVER;

/// A rule and the question for what breaks it.
pub(super) struct Rule {
    /// What is wrong with what the question finds.
    pub(super) text: &'static str,
    /// Finds what breaks the rule, each as a text that names it.
    pub(super) sql: &'static str,
    /// What to do.
    pub(super) cure: &'static str,
}

/// Counters are counted anew by every opening.
const COUNTED_ANEW: &str = "it is counted anew when the server is started again";

const DELETE_IT: &str = "delete it; a backup may have what it belonged to";

pub(super) const RULES: &[Rule] = &[
    Rule {
        text: "a face set counts another number of gallery rows than it has",
        sql: "SELECT 'face set ' || s.id FROM face_sets AS s WHERE s.name IS NOT NULL
              AND s.n_gallery <> (SELECT count(*) FROM gallery AS g WHERE g.face_set = s.id)",
        cure: COUNTED_ANEW,
    },
    Rule {
        text: "a face set counts another number of own faces than it has",
        sql: "WITH counted AS (SELECT face_set AS id, count(*) AS n FROM faces WHERE face_set IS NOT NULL GROUP BY face_set)
              SELECT 'face set ' || s.id FROM face_sets AS s
              WHERE s.n_owned <> coalesce((SELECT n FROM counted WHERE counted.id = s.id), 0)",
        cure: COUNTED_ANEW,
    },
    Rule {
        text: "a person counts another number of faces than it has",
        sql: "SELECT 'person ' || p.id FROM persons AS p
              WHERE p.n_faces <> (SELECT count(*) FROM faces AS f WHERE f.person = p.id)",
        cure: COUNTED_ANEW,
    },
    Rule {
        text: "a tenant counts another number of face sets, persons or faces than it has",
        sql: "SELECT 'tenant ' || lower(hex(u.tenant)) FROM tenant_usage AS u
              WHERE u.n_face_sets <> (SELECT count(*) FROM face_sets WHERE tenant = u.tenant AND name IS NOT NULL)
                 OR u.n_persons <> (SELECT count(*) FROM persons WHERE tenant = u.tenant AND key IS NOT NULL)
                 OR u.n_faces <>
                    (SELECT coalesce(sum(n_owned), 0) FROM face_sets WHERE tenant = u.tenant AND name IS NOT NULL)
                    + (SELECT coalesce(sum(n_faces), 0) FROM persons WHERE tenant = u.tenant AND key IS NOT NULL)
              UNION ALL
              SELECT 'tenant ' || lower(hex(tenant)) FROM (SELECT tenant FROM face_sets WHERE name IS NOT NULL
                                                           UNION SELECT tenant FROM persons WHERE key IS NOT NULL)
              WHERE tenant NOT IN (SELECT tenant FROM tenant_usage)",
        cure: COUNTED_ANEW,
    },
    Rule {
        text: "a kind of job counts another number of undone jobs than it has",
        sql: "SELECT 'kind ' || k.kind FROM job_kinds AS k
              WHERE k.n_undone <> (SELECT count(*) FROM jobs AS j WHERE j.kind = k.kind AND j.expires_at IS NULL)
              UNION ALL
              SELECT DISTINCT 'kind ' || j.kind FROM jobs AS j
              WHERE j.expires_at IS NULL AND NOT EXISTS (SELECT 1 FROM job_kinds AS k WHERE k.kind = j.kind)",
        cure: COUNTED_ANEW,
    },
    Rule {
        text: "a tenant counts another number of held faces than it has",
        sql: "SELECT 'tenant ' || lower(hex(h.tenant)) FROM held_tenants AS h
              WHERE h.n_held <> (SELECT count(*) FROM held_faces AS f WHERE f.tenant = h.tenant)
              UNION ALL
              SELECT DISTINCT 'tenant ' || lower(hex(f.tenant)) FROM held_faces AS f
              WHERE NOT EXISTS (SELECT 1 FROM held_tenants AS h WHERE h.tenant = f.tenant)",
        cure: COUNTED_ANEW,
    },
    Rule {
        text: "a tenant counts another number of short-lived records than it has",
        sql: "SELECT 'tenant ' || lower(hex(b.tenant)) FROM record_buckets AS b
              WHERE (b.n_records, b.n_bytes) IS NOT (SELECT count(*), coalesce(sum(length(r.value)), 0) FROM records AS r
                WHERE r.tenant = b.tenant AND r.scope = b.scope AND r.bucket = b.bucket)
              UNION ALL
              SELECT 'tenant ' || lower(hex(r.tenant)) FROM records AS r WHERE NOT EXISTS (SELECT 1 FROM record_buckets AS b
                WHERE b.tenant = r.tenant AND b.scope = r.scope AND b.bucket = r.bucket)",
        cure: COUNTED_ANEW,
    },
    Rule {
        text: "a face set's own face is missing from its gallery",
        sql: "SELECT 'face ' || f.id || ' of face set ' || f.face_set FROM faces AS f
              JOIN face_sets AS s ON s.id = f.face_set JOIN templates AS t ON t.face = f.sequence AND t.pack = s.pack
              WHERE s.name IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM gallery AS g WHERE g.face_set = f.face_set AND g.sequence = f.sequence)",
        cure: GALLERIES,
    },
    Rule {
        text: "a member's face is missing from a gallery",
        sql: "SELECT 'face ' || f.id || ', face set ' || s.id FROM memberships AS m JOIN face_sets AS s ON s.id = m.face_set
              JOIN faces AS f ON f.person = m.person JOIN templates AS t ON t.face = f.sequence AND t.pack = s.pack
              WHERE s.name IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM gallery AS g WHERE g.face_set = s.id AND g.sequence = f.sequence)",
        cure: GALLERIES,
    },
    Rule {
        text: "a gallery shows a face that does not belong there",
        sql: "SELECT 'face set ' || g.face_set || coalesce(', face ' || f.id, ', a face that is not there')
              FROM gallery AS g JOIN face_sets AS s ON s.id = g.face_set
              LEFT JOIN faces AS f ON f.sequence = g.sequence
              WHERE s.name IS NOT NULL
              AND (f.sequence IS NULL
                OR NOT EXISTS (SELECT 1 FROM templates AS t WHERE t.face = f.sequence AND t.pack = s.pack)
                OR NOT (f.face_set IS g.face_set OR EXISTS
                  (SELECT 1 FROM memberships AS m WHERE m.person = f.person AND m.face_set = g.face_set)))",
        cure: GALLERIES,
    },
    Rule {
        text: "a membership joins a face set and a person of different tenants",
        sql: "SELECT 'face set ' || m.face_set || ', person ' || m.person FROM memberships AS m
              JOIN face_sets AS s ON s.id = m.face_set JOIN persons AS p ON p.id = m.person
              WHERE s.tenant <> p.tenant OR p.key IS NULL",
        cure: RECOVER,
    },
    Rule {
        text: "a face has the id of a held face, or one that is the origin of another",
        sql: "SELECT 'face ' || f.id FROM faces AS f JOIN held_faces AS h ON h.id = f.id
              UNION ALL
              SELECT 'face ' || f.id FROM faces AS f JOIN faces AS g ON g.origin = f.id",
        cure: "delete the face by its id and enrol it again",
    },
    Rule {
        text: "a face has no template of the pack it was enrolled with",
        sql: "SELECT 'face ' || f.id FROM faces AS f
              WHERE NOT EXISTS (SELECT 1 FROM templates AS t WHERE t.face = f.sequence AND t.pack = f.pack)",
        cure: "delete the face by its id and enrol it again, or restore a backup",
    },
    Rule {
        text: "a thumbnail is of a face that is not there",
        sql: "SELECT 'sequence ' || t.face FROM thumbnails AS t
              WHERE NOT EXISTS (SELECT 1 FROM faces AS f WHERE f.sequence = t.face)
              AND NOT EXISTS (SELECT 1 FROM held_faces AS h WHERE h.sequence = t.face)",
        cure: RECOVER,
    },
    // A library whose tenants nobody registered (a store used by a program of its own) has none to refer to.
    Rule {
        text: "something belongs to a tenant that is not there",
        sql: "WITH owned AS (
                  SELECT 'face set ' || id AS what, tenant FROM face_sets WHERE name IS NOT NULL
                  UNION ALL SELECT 'person ' || id, tenant FROM persons WHERE key IS NOT NULL
                  UNION ALL SELECT 'held face ' || id, tenant FROM held_faces
                  UNION ALL SELECT 'job ' || id, tenant FROM jobs
                  UNION ALL SELECT 'handed-in picture ' || id, tenant FROM pictures)
              SELECT what FROM owned WHERE EXISTS (SELECT 1 FROM tenants)
              AND NOT EXISTS (SELECT 1 FROM tenants AS t WHERE t.id = owned.tenant)
              AND NOT EXISTS (SELECT 1 FROM deleted_tenants AS d WHERE d.tenant = owned.tenant)",
        cure: DELETE_IT,
    },
];

/// What to do about galleries, which are made of other tables.
const GALLERIES: &str = "stop the server and write a new library with `likeness recover`, which makes galleries anew";

/// Rules that are broken when rows of faces, galleries or templates are gone: an opening that finds another number of them than
/// was counted looks at these.
pub(super) fn of_missing_rows() -> impl Iterator<Item = &'static Rule> {
    const TEXTS: [&str; 4] = [
        "a face set's own face is missing from its gallery",
        "a member's face is missing from a gallery",
        "a gallery shows a face that does not belong there",
        "a face has no template of the pack it was enrolled with",
    ];
    RULES.iter().filter(|rule| TEXTS.contains(&rule.text)).chain([&TEMPLATE_ALONE])
}

static TEMPLATE_ALONE: Rule = Rule {
    text: "a template is of a face that is not there",
    sql: "SELECT 'sequence ' || t.face FROM templates AS t
          WHERE NOT EXISTS (SELECT 1 FROM faces AS f WHERE f.sequence = t.face)",
    cure: RECOVER,
};
