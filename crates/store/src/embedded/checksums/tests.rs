use std::sync::Arc;

use rusqlite::types::ValueRef;

use super::super::damage::register;
use super::super::schema::{FileUse, MIGRATIONS, Purpose, connect};
use super::super::upgrade::migrate;
use super::*;

/// A column that is added to a table is part of the checksum or listed as left out.
#[test]
fn every_column_is_checked_or_named_as_left_out() {
    let scratch = tempfile::tempdir().unwrap();
    let mut conn = connect(scratch.path(), Purpose::Write, FileUse::Shared, &Arc::default()).unwrap();
    migrate(&mut conn, MIGRATIONS).unwrap();
    for table in TABLES {
        let mut listed: Vec<&str> = table.columns.iter().chain(table.unchecked).copied().chain(["checksum"]).collect();
        let mut statement = conn.prepare(&format!("SELECT name FROM pragma_table_info('{}')", table.name)).unwrap();
        let mut found: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        listed.sort_unstable();
        found.sort_unstable();
        assert_eq!(listed, found, "columns of {}", table.name);
    }
}

#[test]
fn every_bit_of_a_row_counts() {
    let vector: Vec<u8> = (0..=255).collect();
    let sum = |table: &str, face: i64, vector: &[u8]| {
        row_checksum(table, [ValueRef::Integer(face), ValueRef::Text(b"pack-1"), ValueRef::Blob(vector)])
    };
    let right = sum("templates", 7, &vector);
    assert_ne!(right, sum("faces", 7, &vector), "the table counts");
    for bit in 0..64 {
        assert_ne!(right, sum("templates", 7 ^ (1 << bit), &vector), "bit {bit} of the identity");
    }
    for bit in 0..8 * vector.len() {
        let mut other = vector.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(right, sum("templates", 7, &other), "bit {bit} of the vector");
    }
    // Where one value ends and the next begins counts as well, and so does the type.
    let pair = |one: &'static [u8], two: &'static [u8]| row_checksum("t", [ValueRef::Text(one), ValueRef::Text(two)]);
    assert_ne!(pair(b"ab", b"c"), pair(b"a", b"bc"));
    assert_ne!(row_checksum("t", [ValueRef::Text(b"a")]), row_checksum("t", [ValueRef::Blob(b"a")]));
    assert_ne!(row_checksum("t", [ValueRef::Null]), row_checksum("t", [ValueRef::Integer(0)]));
}

/// The checksum is on disk: another program version must compute the same. The numbers are XXH3's with seed 0 over the bytes
/// that the function's comment names.
#[test]
fn the_checksum_of_a_known_row_stays_what_it_is() {
    let mut bytes = b"tenants".to_vec();
    bytes.extend([4, 3, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
    bytes.extend([3, 4, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(b"acme");
    bytes.extend([1, 7, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let values = [ValueRef::Blob(&[1, 2, 3]), ValueRef::Text(b"acme"), ValueRef::Integer(7), ValueRef::Null];
    assert_eq!(row_checksum("tenants", values), xxhash_rust::xxh3::xxh3_64(&bytes) as i64);
}

/// What the two checksums of an enrolment cost, against what the whole enrolment costs in CPU time. Run it with
/// `LIKENESS_SLOW_TESTS=1 cargo test --release -p likeness-store --lib checksums_cost`.
#[test]
#[expect(clippy::print_stderr, reason = "it says what it measured")]
fn checksums_cost_at_most_two_hundredths_of_an_enrolment() {
    use crate::conformance::Ledger;
    use crate::conformance::samples::{by, face, face_set, ours, pack, template};
    use crate::embedded::EmbeddedStore;
    use likeness_domain::ports::GalleryStore;
    use likeness_domain::types::{FaceOwner, NewFace, Template};
    use std::time::Instant;

    if std::env::var_os("LIKENESS_SLOW_TESTS").is_none() {
        return;
    }
    /// User and system time of this process, in hundredths of a second.
    fn cpu() -> u64 {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
    const N_FACES: u64 = 20_000;
    let scratch = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let before = cpu();
    runtime.block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
        for first in (1..=N_FACES).step_by(32) {
            // 32 clients at once, each with one face: a group commit.
            let writes: Vec<_> = (first..first + 32)
                .map(|number| {
                    let raw: Vec<f32> =
                        (0..8).flat_map(|part| template(number + (part << 32)).unit().to_vec()).collect();
                    let new = NewFace { template: Template::new(pack(), &raw).unwrap(), ..face(number) };
                    store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![new], None)
                })
                .collect();
            for write in writes {
                write.await.unwrap();
            }
        }
    });
    let enrolment_us = (cpu() - before) as f64 * 10_000.0 / N_FACES as f64;

    let conn = rusqlite::Connection::open(scratch.path().join("likeness.db")).unwrap();
    register(&conn, &Arc::default()).unwrap();
    let columns = |table: &CheckedTable| table.columns.join(", ");
    let (faces, templates) = (columns(&FACES), columns(&TEMPLATES));
    // The same rows are read with and without the functions, in turn; the difference is what they cost.
    let question = |face: String, template: String| {
        format!(
            "SELECT count(nullif({face}, 1)), count(nullif({template}, 1)) FROM faces AS f
             CROSS JOIN (SELECT id AS template_id, face, pack AS template_pack, vector FROM templates) AS t
             ON t.face = f.sequence"
        )
    };
    let templates = templates.replace("pack", "template_pack");
    let with = question(format!("row_checksum('faces', {faces})"), format!("row_checksum('templates', {templates})"));
    let without = question("f.id".into(), "t.vector".into());
    let best = |sql: &str| {
        let started = Instant::now();
        conn.query_row(sql, [], |_| Ok(())).unwrap();
        started.elapsed().as_secs_f64() * 1e6 / N_FACES as f64
    };
    let (mut with_us, mut without_us) = (f64::MAX, f64::MAX);
    for _ in 0..15 {
        with_us = with_us.min(best(&with));
        without_us = without_us.min(best(&without));
    }
    let share = (with_us - without_us) / enrolment_us;
    eprintln!(
        "an enrolment takes {enrolment_us:.1} us of CPU, its checksums {:.2} us: {:.2} %",
        with_us - without_us,
        100.0 * share
    );
    assert!(share <= 0.02, "checksums cost {:.2} % of an enrolment", 100.0 * share);
}
