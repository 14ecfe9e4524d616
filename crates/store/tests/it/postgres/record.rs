//! The record of commits where there are too many.

use std::time::Instant;

use likeness_domain::ports::{CommitPage, GalleryStore, RecordPage};
use likeness_domain::types::{Revision, TenantId};
use likeness_store::conformance::samples::*;
use likeness_store::postgres::Settings;

use super::nodes::{Node, PATIENCE, runtime, staff};
use super::server;

async fn record(node: &Node, tenant: TenantId) -> (RecordPage, Vec<u64>) {
    let record = node.store.record_after(tenant, Revision(0), 1000).await.unwrap();
    let revisions = record.commits.iter().map(|commit| commit.revision.0).collect();
    (record, revisions)
}

/// Who writes much makes the record of no other tenant shorter, nor that of sets and deletes.
#[test]
fn the_record_of_others_is_kept_however_much_somebody_writes() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let database = server.database();
    let settings = Settings { n_connections: 4, ..Settings::DEFAULT };
    let node = Node::at(server.place(&database), settings);
    let set = runtime().block_on(async {
        let precious = node.store.create_face_set(by(theirs()), face_set("precious"), None).await.unwrap();
        node.store.delete_face_set(by(theirs()), precious.id, false).await.unwrap();
        let set = staff(&node).await.id;
        node.add(set, 1).await;
        node.delete(set, 1).await;
        for number in 2..=61 {
            node.add(set, number).await;
        }
        set
    });
    drop(node);

    let node = Node::at(server.place(&database), Settings { commits_max: 20, ..settings });
    runtime().block_on(async {
        let expected: Vec<u64> = [3, 5].into_iter().chain(50..=65).collect();
        let began = Instant::now();
        while record(&node, ours()).await.1 != expected {
            assert!(began.elapsed() < PATIENCE, "{:?}", record(&node, ours()).await);
        }
        assert_eq!(record(&node, ours()).await.0.compacted, Revision(49));
        let (theirs, revisions) = record(&node, theirs()).await;
        assert_eq!((revisions, theirs.compacted), (vec![1, 2], Revision(0)));
        let CommitPage::TooOld { compacted } = node.store.changes_after(Revision(5), 100).await.unwrap() else {
            panic!("a follower needs them all")
        };
        assert_eq!(compacted, Revision(49));
        let CommitPage::Commits { commits, .. } = node.store.changes_after(compacted, 100).await.unwrap() else {
            panic!("what is not compacted is there")
        };
        assert_eq!(commits.len(), 16);
        node.add(set, 62).await;
        assert_eq!(node.finds(set, 62).await, Some(face_id(62)));
        assert_eq!(node.store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}
