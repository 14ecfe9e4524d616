//! Tenants and access keys.

use bytes::Bytes;
use likeness_domain::Kind;
use likeness_domain::access::{FaceSetScope, Grant, Grants, Limits};
use likeness_domain::ports::{
    Change, ChangeRef, CommitPage, FaceScope, FaceSelector, KeyAction, Record, RecordPlace, RecordQuota, SESSIONS,
    WhenFull,
};
use likeness_domain::types::{
    AccessKey, AccessKeyId, Actor, FaceOwner, InstallationSecret, Precondition, Revision, Secret, Subject, Tenant,
    TenantId, TenantName, TimestampMs,
};

use super::samples::{by, face, face_id, face_set, note, ours, theirs};
use super::{Bench, refused};

fn tenant(id: TenantId, name: &str, created_at: i64) -> Tenant {
    Tenant::new(id, TenantName::new(name).expect("a valid name"), TimestampMs(created_at))
}

fn key_id(text: &str) -> AccessKeyId {
    AccessKeyId::new(text).expect("a valid key id")
}

fn secret(text: &str) -> Secret {
    Secret::new(text).expect("a valid secret")
}

fn key(id: &str, tenant: &Tenant) -> AccessKey {
    AccessKey::new(key_id(id), secret(&format!("secret-of-{id}")), tenant.clone(), TimestampMs(5))
}

/// Proposing it again gives the one that exists, with its own id and time.
pub async fn a_tenant_is_made_once(bench: Bench) -> Bench {
    let store = &bench.credentials;
    let acme = store.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    let again = store.ensure_tenant(by(theirs()), tenant(theirs(), "acme", 2)).await.unwrap();
    let found = store.tenant(acme.name.clone()).await.unwrap().unwrap();
    for tenant in [&acme, &again, &found] {
        assert_eq!((tenant.id, tenant.name.as_str(), tenant.created_at), (ours(), "acme", TimestampMs(1)));
    }
    refused(store.ensure_tenant(by(ours()), tenant(ours(), "other", 3)).await, Kind::InvalidArgument);
    assert!(store.tenant(TenantName::new("other").unwrap()).await.unwrap().is_none());
    store.ensure_tenant(by(theirs()), tenant(theirs(), "aaa", 0)).await.unwrap();
    let names: Vec<_> = store.tenants().await.unwrap().into_iter().map(|tenant| tenant.name.to_string()).collect();
    assert_eq!(names, ["acme", "aaa"], "oldest first");
    bench
}

/// Every part, the secret included.
pub async fn a_key_comes_back_as_it_was_stored(bench: Bench) -> Bench {
    let acme = bench.credentials.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    bench.credentials.add_key(by(acme.id), key("AK1", &acme)).await.unwrap();
    let found = bench.credentials.key(key_id("AK1")).await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.secret.reveal()), ("AK1", "secret-of-AK1"));
    assert_eq!((found.tenant.id, found.tenant.name.as_str()), (ours(), "acme"));
    assert_eq!((found.tenant.created_at, found.created_at, found.enabled), (TimestampMs(1), TimestampMs(5), true));
    assert!(bench.credentials.key(key_id("ak1")).await.unwrap().is_none(), "key ids are case-sensitive");
    bench
}

/// What a request was admitted to do by a key is not done once the key is disabled or deleted.
pub async fn a_key_that_is_gone_writes_nothing(bench: Bench) -> Bench {
    let keys = &bench.credentials;
    let acme = keys.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    keys.add_key(by(acme.id), key("AK1", &acme)).await.unwrap();
    let actor = || Actor { key: Some(key_id("AK1")), key_must_be_usable: true, ..by(ours()) };
    let set = bench.store.create_face_set(actor(), face_set("staff"), None).await.unwrap();
    let writes = async || {
        let made = bench.store.create_face_set(actor(), face_set("more"), None).await.map(drop);
        let deleted = bench.store.delete_face_set(actor(), set.id, false).await;
        let selector = FaceSelector::Subject(Subject::new("anna").expect("a valid subject"));
        let faces = bench.store.delete_faces(actor(), FaceScope::FaceSet(set.id), selector).await.map(drop);
        let switched = keys.set_key_enabled(actor(), key_id("AK1"), true).await.map(drop);
        [made, deleted, faces, switched]
    };
    keys.set_key_enabled(by(acme.id), key_id("AK1"), false).await.unwrap();
    writes().await.into_iter().for_each(|write| refused(write, Kind::Forbidden));
    assert!(keys.delete_key(by(acme.id), key_id("AK1")).await.unwrap());
    writes().await.into_iter().for_each(|write| refused(write, Kind::Forbidden));
    let theirs = Actor { tenant: theirs(), ..actor() };
    refused(bench.store.create_face_set(theirs, face_set("more"), None).await, Kind::Forbidden);
    assert_eq!(bench.store.face_sets(ours()).await.unwrap().len(), 1);
    bench
}

/// Also by another tenant; the first one's secret stays.
pub async fn a_key_id_is_taken_once(bench: Bench) -> Bench {
    let acme = bench.credentials.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    let other = bench.credentials.ensure_tenant(by(theirs()), tenant(theirs(), "other", 1)).await.unwrap();
    bench.credentials.add_key(by(acme.id), key("AK1", &acme)).await.unwrap();
    refused(bench.credentials.add_key(by(other.id), key("AK1", &other)).await, Kind::InvalidArgument);
    assert_eq!(bench.credentials.key(key_id("AK1")).await.unwrap().unwrap().tenant.id, ours());
    assert!(bench.credentials.keys(theirs()).await.unwrap().is_empty());
    bench
}

/// A tenant's first key is added only while it has none, also where several are added at the same moment.
pub async fn a_first_key_is_added_once(bench: Bench) -> Bench {
    let acme = bench.credentials.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    let other = bench.credentials.ensure_tenant(by(theirs()), tenant(theirs(), "other", 1)).await.unwrap();
    let keys = &bench.credentials;
    let (one, two) = tokio::join!(
        keys.add_first_key(by(acme.id), key("AK1", &acme)),
        keys.add_first_key(by(acme.id), key("AK2", &acme)),
    );
    assert_eq!(u8::from(one.unwrap()) + u8::from(two.unwrap()), 1);
    let added = keys.keys(acme.id).await.unwrap();
    assert_eq!(added.len(), 1);
    // One that is switched off is one.
    keys.set_key_enabled(by(acme.id), added[0].id.clone(), false).await.unwrap();
    assert!(!keys.add_first_key(by(acme.id), key("AK3", &acme)).await.unwrap());
    // Ids are taken once, whoever takes them.
    refused(keys.add_first_key(by(other.id), key(added[0].id.as_str(), &other)).await, Kind::InvalidArgument);
    assert!(keys.add_first_key(by(other.id), key("AK4", &other)).await.unwrap());
    bench
}

/// An operator's key acts for any tenant, as long as it is there and enabled; no other key acts for one that is not its own.
pub async fn an_operators_key_acts_for_every_tenant(bench: Bench) -> Bench {
    let keys = &bench.credentials;
    let own = keys.ensure_tenant(by(theirs()), tenant(theirs(), TenantName::OF_OPERATORS, 1)).await.unwrap();
    let operator = AccessKey { grants: Grants::OPERATOR, ..key("OP1", &own) };
    keys.add_key(by(own.id), operator).await.unwrap();
    keys.add_key(by(own.id), AccessKey { grants: Grants::ALL, ..key("AK1", &own) }).await.unwrap();
    let actor = |id: &str| Actor { key: Some(key_id(id)), key_must_be_usable: true, ..by(ours()) };
    refused(keys.ensure_tenant(actor("AK1"), tenant(ours(), "acme", 2)).await, Kind::Forbidden);
    let acme = keys.ensure_tenant(actor("OP1"), tenant(ours(), "acme", 2)).await.unwrap();
    let limits = Limits { faces_max: Some(5), ..Limits::NONE };
    refused(keys.set_tenant_limits(actor("AK1"), limits, None).await, Kind::Forbidden);
    assert!(keys.set_tenant_limits(actor("OP1"), limits, None).await.unwrap());
    keys.add_key(actor("OP1"), key("AK2", &acme)).await.unwrap();
    assert_eq!(keys.key(key_id("OP1")).await.unwrap().unwrap().grants, Grants::OPERATOR);

    keys.set_key_enabled(by(own.id), key_id("OP1"), false).await.unwrap();
    refused(keys.set_tenant_limits(actor("OP1"), Limits::NONE, None).await, Kind::Forbidden);
    refused(bench.store.delete_tenant(actor("OP1")).await, Kind::Forbidden);
    keys.set_key_enabled(by(own.id), key_id("OP1"), true).await.unwrap();
    refused(bench.store.delete_tenant(actor("AK1")).await, Kind::Forbidden);
    assert!(bench.store.delete_tenant(actor("OP1")).await.unwrap());
    assert!(keys.key(key_id("AK2")).await.unwrap().is_none());
    bench
}

/// Limits are changed only where they are what was seen of them.
pub async fn limits_are_changed_under_a_condition(bench: Bench) -> Bench {
    let store = &bench.credentials;
    let acme = store.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    let few = Limits { faces_max: Some(5), ..Limits::NONE };
    let only_if = |limits: Limits| Some(Precondition::new(move |tenant: &Tenant| tenant.limits == limits));
    refused(store.set_tenant_limits(by(ours()), few, only_if(few)).await, Kind::Changed);
    assert_eq!(store.tenant(acme.name.clone()).await.unwrap().unwrap().limits, Limits::NONE);
    assert!(store.set_tenant_limits(by(ours()), few, only_if(Limits::NONE)).await.unwrap());
    assert_eq!(store.tenant(acme.name.clone()).await.unwrap().unwrap().limits, few);
    bench
}

/// A key of nobody is refused.
pub async fn a_key_needs_its_tenant(bench: Bench) -> Bench {
    refused(bench.credentials.add_key(by(ours()), key("AK1", &tenant(ours(), "acme", 1))).await, Kind::InvalidArgument);
    assert!(bench.credentials.key(key_id("AK1")).await.unwrap().is_none());
    bench
}

/// Each tenant's own, disabled ones included.
pub async fn keys_are_listed_oldest_first(bench: Bench) -> Bench {
    let acme = bench.credentials.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    let other = bench.credentials.ensure_tenant(by(theirs()), tenant(theirs(), "other", 1)).await.unwrap();
    for (id, owner) in [("z", &acme), ("x", &other), ("a", &acme), ("m", &acme)] {
        bench.credentials.add_key(by(owner.id), key(id, owner)).await.unwrap();
    }
    bench.credentials.set_key_enabled(by(ours()), key_id("a"), false).await.unwrap();
    let ids: Vec<_> = bench.credentials.keys(ours()).await.unwrap().into_iter().map(|key| key.id.to_string()).collect();
    assert_eq!(ids, ["z", "a", "m"]);
    bench
}

/// They are over when it is switched on again; those of other keys and of the owner go on.
pub async fn switching_a_key_off_ends_its_sessions(bench: Bench) -> Bench {
    let (keys, records) = (&bench.credentials, &bench.records);
    let acme = keys.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    for id in ["AK1", "AK2"] {
        keys.add_key(by(acme.id), key(id, &acme)).await.unwrap();
    }
    let now = TimestampMs(5);
    let quota = RecordQuota { n_max: 9, bytes_max: 999, when_full: WhenFull::Refuse };
    let kept = [(SESSIONS, "AK1"), (SESSIONS, "AK2"), (SESSIONS, ""), ("ticket", "AK1")];
    for (number, (scope, bucket)) in kept.into_iter().enumerate() {
        let record = Record {
            id: [number as u8; 32],
            tenant: acme.id,
            bucket: bucket.to_owned(),
            value: Bytes::from_static(b"who"),
            created_at: now,
            expires_at: TimestampMs(99),
        };
        assert!(records.put_record(scope, record, quota, now).await.unwrap().is_none());
    }
    let there = async || {
        let mut there = Vec::new();
        for (number, (scope, _)) in kept.into_iter().enumerate() {
            there.push(records.record(scope, [number as u8; 32], now).await.unwrap().is_some());
        }
        there
    };
    assert!(keys.set_key_enabled(by(acme.id), key_id("AK1"), true).await.unwrap());
    assert_eq!(there().await, [true; 4]);
    // Another tenant has no such key.
    assert!(!keys.set_key_enabled(by(theirs()), key_id("AK1"), false).await.unwrap());
    assert_eq!(there().await, [true; 4]);
    assert!(keys.set_key_enabled(by(acme.id), key_id("AK1"), false).await.unwrap());
    assert_eq!(there().await, [false, true, true, true]);
    bench
}

/// And the answer says whether there was one.
pub async fn a_key_is_switched_and_deleted(bench: Bench) -> Bench {
    let store = &bench.credentials;
    let acme = store.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    store.add_key(by(acme.id), key("AK1", &acme)).await.unwrap();
    for enabled in [false, false, true] {
        assert!(store.set_key_enabled(by(ours()), key_id("AK1"), enabled).await.unwrap());
        assert_eq!(store.key(key_id("AK1")).await.unwrap().unwrap().enabled, enabled);
    }
    assert!(store.delete_key(by(ours()), key_id("AK1")).await.unwrap());
    assert!(store.key(key_id("AK1")).await.unwrap().is_none());
    assert!(!store.delete_key(by(ours()), key_id("AK1")).await.unwrap());
    assert!(!store.set_key_enabled(by(ours()), key_id("AK1"), true).await.unwrap());
    store.add_key(by(acme.id), key("AK1", &acme)).await.unwrap();
    bench
}

/// Grants, face sets, label and expiry; none of the face sets is something else than all of them.
pub async fn a_key_keeps_what_it_may_do(bench: Bench) -> Bench {
    let store = &bench.credentials;
    let acme = store.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    let set = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    assert_eq!(store.face_set_names(ours()).await.unwrap(), [(set.id, set.name.clone())]);
    assert!(store.face_set_names(theirs()).await.unwrap().is_empty());
    let limited = AccessKey {
        grants: Grants::of(&[Grant::Read, Grant::Delete]),
        face_sets: FaceSetScope::Only([set.id].into()),
        label: Some(note("door 3")),
        expires_at: Some(TimestampMs(77)),
        ..key("limited", &acme)
    };
    let nothing = AccessKey { grants: Grants::NONE, face_sets: FaceSetScope::Only([].into()), ..key("nothing", &acme) };
    for new in [limited.clone(), nothing.clone(), key("all", &acme)] {
        store.add_key(by(ours()), new).await.unwrap();
    }
    let words = |key: &AccessKey| (key.grants, key.face_sets.clone(), key.label.clone(), key.expires_at);
    let stored = store.keys(ours()).await.unwrap();
    assert_eq!(stored.iter().map(words).collect::<Vec<_>>(), [&limited, &nothing, &key("all", &acme)].map(words));
    assert!(stored[2].face_sets.is_all() && stored[2].grants == Grants::USUAL);
    let one = store.key(key_id("limited")).await.unwrap().unwrap();
    assert_eq!(words(&one), words(&limited));
    assert!(one.is_usable(TimestampMs(76)) && !one.is_usable(TimestampMs(77)));
    bench
}

/// The old secret is accepted beside the new one for a while; a second rotation ends the first one's overlap.
pub async fn a_rotated_key_has_two_secrets_for_a_while(bench: Bench) -> Bench {
    let store = &bench.credentials;
    let acme = store.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    store.add_key(by(ours()), key("AK1", &acme)).await.unwrap();
    store.add_key(by(ours()), key("AK2", &acme)).await.unwrap();
    assert!(store.rotate_key(by(ours()), key_id("AK1"), secret("second"), TimestampMs(100)).await.unwrap());
    let accepted = async |now: i64| -> Vec<String> {
        let key = store.key(key_id("AK1")).await.unwrap().unwrap();
        key.secrets(TimestampMs(now)).map(|secret| secret.reveal().to_owned()).collect()
    };
    assert_eq!(accepted(99).await, ["second", "secret-of-AK1"]);
    assert_eq!(accepted(100).await, ["second"]);
    assert!(store.rotate_key(by(ours()), key_id("AK1"), secret("third"), TimestampMs(200)).await.unwrap());
    assert_eq!(accepted(99).await, ["third", "second"]);
    // The uses of any key tell the time, by which secrets are erased.
    store.keys_used(vec![(key_id("AK2"), TimestampMs(199))]).await.unwrap();
    assert_eq!(accepted(0).await, ["third", "second"]);
    store.keys_used(vec![(key_id("AK2"), TimestampMs(200))]).await.unwrap();
    assert_eq!(accepted(0).await, ["third"]);
    assert!(!store.rotate_key(by(ours()), key_id("nobody"), secret("x"), TimestampMs(1)).await.unwrap());
    bench
}

/// The latest time is kept, whatever the order in which they are noted.
pub async fn the_last_use_of_a_key_is_noted(bench: Bench) -> Bench {
    let store = &bench.credentials;
    let acme = store.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    store.add_key(by(ours()), key("AK1", &acme)).await.unwrap();
    assert_eq!(store.key(key_id("AK1")).await.unwrap().unwrap().last_used_at, None);
    for (at, expected) in [(50, 50), (40, 50), (60, 60)] {
        store.keys_used(vec![(key_id("gone"), TimestampMs(at)), (key_id("AK1"), TimestampMs(at))]).await.unwrap();
        let found = store.key(key_id("AK1")).await.unwrap().unwrap();
        assert_eq!(found.last_used_at, Some(TimestampMs(expected)));
    }
    store.keys_used(vec![]).await.unwrap();
    bench
}

/// Another tenant's key is not there, whatever is to be done with it.
pub async fn keys_of_another_tenant_are_not_there(bench: Bench) -> Bench {
    let store = &bench.credentials;
    let acme = store.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    store.ensure_tenant(by(theirs()), tenant(theirs(), "other", 1)).await.unwrap();
    store.add_key(by(ours()), key("AK1", &acme)).await.unwrap();
    assert!(!store.set_key_enabled(by(theirs()), key_id("AK1"), false).await.unwrap());
    assert!(!store.rotate_key(by(theirs()), key_id("AK1"), secret("x"), TimestampMs(9)).await.unwrap());
    assert!(!store.delete_key(by(theirs()), key_id("AK1")).await.unwrap());
    let found = store.key(key_id("AK1")).await.unwrap().unwrap();
    assert_eq!((found.enabled, found.secret.reveal()), (true, "secret-of-AK1"));
    bench
}

/// Limits are seen with the tenant and with each of its keys.
pub async fn a_tenants_limits_come_with_its_keys(bench: Bench) -> Bench {
    let store = &bench.credentials;
    let acme = store.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    assert_eq!(acme.limits, Limits::NONE);
    store.add_key(by(ours()), key("AK1", &acme)).await.unwrap();
    let limits = Limits {
        face_sets_max: Some(1),
        faces_max: Some(2),
        persons_max: Some(3),
        face_set_faces_max: Some(4),
        person_faces_max: Some(5),
        calls_per_second: Some(6),
    };
    for limits in [limits, Limits { faces_max: None, ..limits }] {
        assert!(store.set_tenant_limits(by(ours()), limits, None).await.unwrap());
        assert_eq!(store.tenant(acme.name.clone()).await.unwrap().unwrap().limits, limits);
        assert_eq!(store.tenants().await.unwrap()[0].limits, limits);
        assert_eq!(store.key(key_id("AK1")).await.unwrap().unwrap().tenant.limits, limits);
    }
    assert!(!store.set_tenant_limits(by(theirs()), limits, None).await.unwrap());
    bench
}

/// Who made, changed and deleted tenants and keys is kept like every other change.
pub async fn writes_of_keys_are_commits(bench: Bench) -> Bench {
    let store = &bench.credentials;
    let acme = store.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    store.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    store.add_key(by(ours()), key("AK1", &acme)).await.unwrap();
    refused(store.add_key(by(ours()), key("AK1", &acme)).await, Kind::InvalidArgument);
    bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    store.set_key_enabled(by(ours()), key_id("AK1"), false).await.unwrap();
    store.rotate_key(by(ours()), key_id("AK1"), secret("x"), TimestampMs(9)).await.unwrap();
    store.set_key_enabled(by(ours()), key_id("AK1"), true).await.unwrap();
    store.set_tenant_limits(by(ours()), Limits::NONE, None).await.unwrap();
    store.keys_used(vec![(key_id("AK1"), TimestampMs(1))]).await.unwrap();
    store.delete_key(by(ours()), key_id("AK1")).await.unwrap();
    store.delete_key(by(ours()), key_id("AK1")).await.unwrap();
    bench.store.create_face_set(by(ours()), face_set("guests"), None).await.unwrap();
    let CommitPage::Commits { commits, .. } = bench.store.changes_after(Revision(0), usize::MAX).await.unwrap() else {
        panic!("compacted")
    };
    let told: Vec<_> = commits
        .iter()
        .map(|commit| match &commit.changes[..] {
            [Change::TenantMade(tenant)] => format!("tenant {tenant} made"),
            [Change::TenantChanged(tenant)] => format!("tenant {tenant}"),
            [Change::Key(key, action)] => format!("key {key} {action:?}"),
            [Change::Gallery(_)] => "set".to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    let (tenant_made, tenant_changed) = (format!("tenant {} made", ours()), format!("tenant {}", ours()));
    let expected = [
        &tenant_made[..],
        "key AK1 Made",
        "set",
        "key AK1 Disabled",
        "key AK1 Rotated",
        "key AK1 Enabled",
        &tenant_changed,
        "key AK1 Deleted",
        "set",
    ];
    assert_eq!(told, expected);
    assert!(commits.is_sorted_by(|a, b| a.revision < b.revision));
    assert!(commits.iter().all(|commit| commit.actor == by(ours())));
    bench
}

/// The record has the tenant's commits and no other's, in stretches, and what is gone stays in it by its ids.
pub async fn the_record_tells_who_did_what(bench: Bench) -> Bench {
    let (store, credentials) = (&bench.store, &bench.credentials);
    let acme = credentials.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    credentials.ensure_tenant(by(theirs()), tenant(theirs(), "other", 1)).await.unwrap();
    credentials.add_key(by(ours()), key("AK1", &acme)).await.unwrap();
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    store.create_face_set(by(theirs()), face_set("staff"), None).await.unwrap();
    store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(1), face(2)], None).await.unwrap();
    store.delete_face_set(by(ours()), set.id, false).await.unwrap();
    credentials.delete_key(by(ours()), key_id("AK1")).await.unwrap();
    let expected = [
        vec![ChangeRef::TenantMade(ours())],
        vec![ChangeRef::Key(key_id("AK1"), KeyAction::Made)],
        vec![ChangeRef::Opened(set.id)],
        vec![ChangeRef::Put(set.id, face_id(1)), ChangeRef::Put(set.id, face_id(2))],
        vec![ChangeRef::Closed(set.id)],
        vec![ChangeRef::Key(key_id("AK1"), KeyAction::Deleted)],
    ];
    for limit in [1, 2, 4, 6, 7, usize::MAX] {
        let (mut told, mut reached) = (Vec::new(), RecordPlace::from(Revision(0)));
        loop {
            let page = store.record_after(ours(), reached, limit).await.unwrap();
            assert!(page.commits.len() <= limit && page.compacted == Revision(0));
            assert!(page.commits.iter().all(|commit| commit.actor == by(ours()) && commit.revision > reached.revision));
            assert!(page.reached.revision > reached.revision || !page.has_more, "each stretch goes on");
            told.extend(page.commits.into_iter().map(|commit| commit.changes));
            reached = page.reached;
            if !page.has_more {
                break;
            }
        }
        assert_eq!(told, expected, "{limit} at a time");
    }
    let none = store.record_after(TenantId::from_bits(77), Revision(0).into(), 10).await.unwrap();
    assert!(none.commits.is_empty() && !none.has_more);
    for beyond in [u64::MAX, 1 << 63, i64::MAX as u64] {
        let error = store.record_after(ours(), Revision(beyond).into(), 10).await.unwrap_err();
        assert_eq!((error.kind(), error.field()), (Kind::Changed, Some("since")), "after {beyond}");
    }
    bench
}

/// A place says of which history it is: behind what is there it goes on, with or without a commit of the tenant since, and that
/// of a commit which the store does not have is refused.
pub async fn a_place_in_the_record_is_of_one_history(bench: Bench) -> Bench {
    let (store, credentials) = (&bench.store, &bench.credentials);
    let begin = store.record_after(ours(), Revision(0).into(), 10).await.unwrap().reached;
    let acme = credentials.ensure_tenant(by(ours()), tenant(ours(), "acme", 1)).await.unwrap();
    credentials.add_key(by(ours()), key("AK1", &acme)).await.unwrap();
    let from_begin = store.record_after(ours(), begin, 10).await.unwrap();
    assert_eq!(from_begin.commits.len(), 2);
    let behind = from_begin.reached;
    let last = from_begin.commits.last().unwrap();
    assert_eq!(behind, RecordPlace { revision: last.revision, mark: Some(last.mark) });
    // What another tenant writes is seen by the place, and by nobody else.
    credentials.ensure_tenant(by(theirs()), tenant(theirs(), "other", 1)).await.unwrap();
    let later = store.record_after(ours(), behind, 10).await.unwrap();
    assert!(later.commits.is_empty() && later.reached.revision > behind.revision && later.reached.mark.is_some());
    credentials.delete_key(by(ours()), key_id("AK1")).await.unwrap();
    for place in [behind, later.reached] {
        let page = store.record_after(ours(), place, 10).await.unwrap();
        assert_eq!(page.commits.len(), 1);
    }
    let first = store.record_after(ours(), Revision(0).into(), 1).await.unwrap().reached;
    let wrong = [
        RecordPlace { mark: behind.mark.map(|mark| mark ^ 1), ..behind },
        RecordPlace { mark: behind.mark, ..first },
        RecordPlace { mark: Some(0), ..behind },
    ];
    for place in wrong {
        let error = store.record_after(ours(), place, 10).await.unwrap_err();
        assert_eq!((error.kind(), error.field()), (Kind::Changed, Some("cursor")), "{place:?}");
        assert!(error.hint().is_some_and(|hint| hint.contains("anew")));
    }
    bench
}

/// The one proposed first, which says nothing when it is printed.
pub async fn an_installation_keeps_one_secret(bench: Bench) -> Bench {
    let store = &bench.credentials;
    let first = InstallationSecret::from_bytes([1; 32]);
    assert!(store.installation_secret(first.clone()).await.unwrap() == first);
    assert!(store.installation_secret(InstallationSecret::from_bytes([2; 32])).await.unwrap() == first);
    assert_eq!(format!("{first:?}"), "***");
    bench
}
