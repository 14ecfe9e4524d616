//! No room on the disk of the database.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use likeness_domain::Kind;
use likeness_domain::ports::{FaceScope, GalleryStore};
use likeness_domain::types::FaceOwner;
use likeness_store::conformance::EVERYTHING;
use likeness_store::conformance::samples::*;
use likeness_store::postgres::Settings;

use super::nodes::{Node, PATIENCE, runtime, staff};
use super::server::{self, Server};
use crate::full_disk::mounted;

/// Writes a file until not a byte is left.
fn fill_up(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    for bytes in [&[7; 4096][..], &[7]] {
        while file.write_all(bytes).is_ok() {}
    }
}

/// Asks a server to try writing until that works, or does not; what it says then.
async fn tried_until(node: &Node, do_writes_work: bool) -> Option<String> {
    let started = Instant::now();
    loop {
        let _ = node.store.probe_writes().await;
        let failure = node.store.health().write_failure;
        if failure.is_none() == do_writes_work {
            return failure;
        }
        assert!(started.elapsed() < PATIENCE, "{failure:?}");
        std::thread::yield_now();
    }
}

/// Issue 17: every enrolment was refused as the disk was full, and servers said that all was well. Both say so, also the one
/// that has written nothing, and that all is well again when there is room; reading goes on.
#[test]
fn a_full_disk_of_the_database_is_told_until_there_is_room() {
    if !server::is_installed() {
        return;
    }
    let folder = server::folder("lk-pg-small-");
    {
        let Some(small) = mounted(&folder, "48m") else { return };
        server::give_folder(&folder);
        let server = Server::start();
        server.sql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", folder.display()));
        server.sql("postgres", "CREATE DATABASE narrow TABLESPACE small");
        let open = || Node::at(server.place("narrow"), Settings { n_connections: 4, ..Settings::DEFAULT });
        let (one, other) = (open(), open());
        runtime().block_on(async {
            let set = staff(&one).await;
            one.add(set.id, 1).await;
            for node in [&one, &other] {
                node.store.probe_writes().await.unwrap();
                assert_eq!(node.store.health().write_failure, None);
            }
            let ballast = folder.join("ballast");
            fill_up(&ballast);
            let mut n_batches = 0;
            let error = loop {
                n_batches += 1;
                assert!(n_batches < 1_000, "the disk does not get full");
                let faces = (0..100).map(|number| face(1_000 * n_batches + number)).collect();
                match one.store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None).await {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), Kind::StorageFull, "{error:?}");
            assert_eq!(error.message(), "cannot add the faces: the disk under the database is full");
            let full = "the disk under the database is full";
            assert_eq!(one.store.health().write_failure.as_deref(), Some(full), "a write said so");
            assert_eq!(tried_until(&other, false).await.as_deref(), Some(full), "it has tried");
            assert_eq!(tried_until(&one, false).await.as_deref(), Some(full), "trying does not forget it");
            let scope = FaceScope::FaceSet(set.id);
            assert_eq!(other.store.list_faces(ours(), scope, EVERYTHING).await.unwrap().len() as u64 % 100, 1);

            std::fs::remove_file(&ballast).unwrap();
            for node in [&one, &other] {
                assert_eq!(tried_until(node, true).await, None);
            }
            one.add(set.id, 2).await;
        });
        drop((one, other));
        server.stop("immediate");
        drop(small);
    }
    std::fs::remove_dir(&folder).unwrap();
}
