//! What every store must do, written once: a backend joins with one line, `conformance!(name, open)`.
//!
//! A case is an async function over a [`Bench`]. It sees a store through the ports only, so it cannot ask anything that a
//! contract does not promise. After each case the index is compared with the store ([`Bench::check_in_step`]).

pub mod commits;
pub mod credentials;
pub mod face_sets;
pub mod faces;
pub mod imports;
pub mod jobs;
mod ledger;
pub mod nonces;
pub mod persons;
pub mod records;
pub mod samples;
pub mod templates;
pub mod tenants;
pub mod thumbnails;
pub mod transient;
pub mod uploads;

use std::any::Any;
use std::future::Future;
use std::sync::Arc;

use likeness_domain::Kind;
use likeness_domain::ports::{
    CredentialStore, FaceScope, GalleryStore, JobStore, NonceStore, Page, RecordStore, UploadStore, VectorIndex,
};
use likeness_domain::types::{Face, FaceId, Template, TenantId};

pub use ledger::{Ledger, LedgerRow, Words};

/// An open store under test.
pub struct Opened {
    /// Faces and persons.
    pub gallery: Arc<dyn GalleryStore>,
    /// Tenants and keys.
    pub credentials: Arc<dyn CredentialStore>,
    /// Work that outlives its request.
    pub jobs: Arc<dyn JobStore>,
    /// What may be used only once.
    pub once: Arc<dyn NonceStore>,
    /// Pictures that were handed in.
    pub pictures: Arc<dyn UploadStore>,
    /// Short-lived records.
    pub records: Arc<dyn RecordStore>,
    /// What must live as long (a scratch folder).
    pub keep: Box<dyn Any>,
}

/// What a case works with.
pub struct Bench {
    /// Faces and persons of an empty store.
    pub store: Arc<dyn GalleryStore>,
    /// Its tenants and keys.
    pub credentials: Arc<dyn CredentialStore>,
    /// Its jobs.
    pub jobs: Arc<dyn JobStore>,
    /// What was spent.
    pub once: Arc<dyn NonceStore>,
    /// Its pictures.
    pub pictures: Arc<dyn UploadStore>,
    /// Its short-lived records.
    pub records: Arc<dyn RecordStore>,
    /// The index it feeds.
    pub index: Arc<Ledger>,
    _keep: Box<dyn Any>,
}

/// A tenant.
pub const OURS: u128 = 0x0a;
/// Another tenant, who has no business with the first one's faces.
pub const THEIRS: u128 = 0x0b;

/// Everything, as a page.
pub const EVERYTHING: Page = Page { offset: 0, limit: u64::MAX };

impl Bench {
    /// A bench over the store that `open` makes.
    pub fn new(open: impl FnOnce(Arc<dyn VectorIndex>) -> Opened) -> Self {
        let index = Arc::new(Ledger::default());
        let opened = open(Arc::clone(&index) as _);
        Self {
            store: opened.gallery,
            credentials: opened.credentials,
            jobs: opened.jobs,
            once: opened.once,
            pictures: opened.pictures,
            records: opened.records,
            index,
            _keep: opened.keep,
        }
    }

    /// Ids of the faces of a scope, in order.
    pub async fn ids(&self, tenant: TenantId, scope: FaceScope) -> Vec<FaceId> {
        let faces = self.store.list_faces(tenant, scope, EVERYTHING).await.expect("listing works");
        faces.into_iter().map(|face| face.id).collect()
    }

    /// Compares what the index was given with what the store says, for every set of these tenants, and sees that the
    /// index knows no other set.
    pub async fn check_in_step(&self, tenants: &[TenantId]) {
        let mut n_sets = 0;
        for &tenant in tenants {
            for set in self.store.face_sets(tenant).await.expect("listing works") {
                n_sets += 1;
                let id = set.face_set.id;
                let faces =
                    self.store.list_faces(tenant, FaceScope::FaceSet(id), EVERYTHING).await.expect("listing works");
                let rows = self.index.rows(id);
                assert_eq!(set.n_faces, faces.len() as u64, "the count of set {id} is exact");
                assert_eq!(
                    rows.iter().map(LedgerRow::words).collect::<Vec<_>>(),
                    faces.iter().map(|face| ledger::words(face, &set.face_set.schema)).collect::<Vec<_>>(),
                    "the index shows the gallery of set {id}"
                );
                let (ids, pack) = (faces.iter().map(|face| face.id).collect(), set.face_set.pack.clone());
                let scope = Some(FaceScope::FaceSet(id));
                let templates = self.store.templates(tenant, scope, ids, pack).await.expect("reading works");
                assert!(
                    rows.iter().map(|row| &row.entry.template).eq(templates.iter().map(|(_, template)| template)),
                    "the index has the templates of set {id}"
                );
            }
        }
        assert_eq!(self.index.n_galleries(), n_sets, "the index has no gallery of a set that is gone");
    }
}

/// The template of each face of the pack it was enrolled with.
pub async fn first_templates(store: &dyn GalleryStore, faces: &[Face]) -> Vec<Template> {
    let mut templates = Vec::with_capacity(faces.len());
    for face in faces {
        let found = store.templates(face.tenant, None, vec![face.id], face.pack.clone()).await.expect("reading works");
        let [(id, template)] = found.try_into().expect("a face has a template of the pack it was enrolled with");
        assert_eq!(id, face.id);
        templates.push(template);
    }
    templates
}

/// Runs one case to its end and compares store and index afterwards. Called by `conformance!`.
pub fn run<F: Future<Output = Bench>>(
    open: impl FnOnce(Arc<dyn VectorIndex>) -> Opened,
    case: impl FnOnce(Bench) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    runtime.block_on(async {
        let bench = Bench::new(open);
        bench.index.is_filled(bench.store.report(false).await.expect("a report").revision);
        let bench = case(bench).await;
        bench.check_in_step(&[OURS, THEIRS].map(TenantId::from_bits)).await;
    });
}

/// Asserts that an answer is a refusal of that kind.
#[track_caller]
pub fn refused<T>(answer: likeness_domain::Result<T>, kind: Kind) {
    match answer {
        Ok(_) => panic!("expected {kind:?}, but it worked"),
        Err(error) => assert_eq!(error.kind(), kind, "{error:?}"),
    }
}

/// The same for the cases of a room, one after the other: for a backend that takes long to start. Panics with the names of
/// those that failed.
pub fn run_room(room: &str, open: fn(Arc<dyn VectorIndex>) -> Opened, cases: &[(&str, Case)]) {
    let failed = |&(name, case): &(&str, Case)| {
        let outcome = std::panic::catch_unwind(|| run(open, case));
        outcome.is_err().then(|| name.to_owned())
    };
    let failed: Vec<String> = cases.iter().filter_map(failed).collect();
    assert!(failed.is_empty(), "of {room} failed: {}", failed.join(", "));
}

/// A case to run.
pub type Case = fn(Bench) -> BoxedCase;

/// A case under way.
pub type BoxedCase = std::pin::Pin<Box<dyn Future<Output = Bench>>>;

/// One test per case for the stores that `open` makes, a function from a `VectorIndex` to an [`Opened`] store. With `by_room`
/// one test per room, which `is_possible` may skip.
#[macro_export]
macro_rules! conformance {
    (by_room $backend:ident, $is_possible:expr, $open:expr) => {
        $crate::conformance!(@list @rooms $backend, ($is_possible, $open),);
    };
    ($backend:ident, $open:expr) => {
        $crate::conformance!(@list @each $backend, $open,);
    };
    (@list @$how:ident $backend:ident, $open:tt,) => {
        $crate::conformance!(@$how $backend, $open,
            face_sets: [
                a_set_comes_back_as_it_was_made
                a_name_is_taken_once_per_tenant
                sets_are_listed_oldest_first
                a_full_quota_is_told_after_a_taken_name
                a_deleted_set_is_gone_everywhere_and_its_name_is_free
                a_set_with_faces_is_kept_if_asked_to
                members_of_a_deleted_set_keep_their_faces
                a_used_set_id_is_replaced_by_the_next
                a_sets_capacity_can_be_changed
                a_sets_words_can_be_changed_and_cleared
                a_new_name_must_be_free
                revisions_grow_by_one_per_write
            ],
            faces: [
                a_face_comes_back_as_it_was_enrolled
                enrolment_is_all_or_nothing
                an_owner_must_exist
                a_template_of_another_pack_is_refused
                capacity_is_exact
                external_ids_are_used_once_per_owner
                faces_are_listed_in_order_of_enrolment_by_pages
                faces_are_found_by_id_in_the_order_asked
                faces_are_found_by_how_their_names_begin
                an_update_changes_words_and_nothing_else
                what_an_update_takes_away_is_gone
                faces_are_deleted_by_id
                faces_are_deleted_by_subject
                faces_are_deleted_by_field_value_and_type
                faces_are_deleted_by_filter
                a_used_face_id_is_replaced_by_the_next
                a_used_face_id_is_replaced_by_the_spare_one
                an_acknowledged_face_is_in_the_index
                a_dropped_future_does_not_undo_a_write
                many_writers_at_once_lose_nothing
            ],
            templates: [
                templates_are_read_by_id_in_their_scope
                a_gallery_is_read_with_templates_in_stretches
                a_face_has_templates_of_several_packs
                a_further_template_joins_the_galleries_of_its_pack
                a_template_put_again_is_replaced
                templates_are_put_all_or_none
                galleries_that_show_faces_are_told
            ],
            thumbnails: [
                a_picture_is_kept_where_the_set_says_so
                pictures_are_erased_when_none_are_to_be_kept
                pictures_to_be_erased_come_back_with_no_person
                a_picture_goes_with_its_face
                a_members_picture_is_kept_while_any_set_keeps_it
                moved_faces_keep_their_pictures_where_they_are_kept
                a_held_faces_picture_goes_along
                the_bytes_of_a_set_are_told
                a_held_faces_picture_goes_with_the_last_set_that_keeps_any
            ],
            commits: [
                a_commit_says_who_changed_what
                commits_are_read_page_by_page
                a_deleted_face_is_in_no_commit
                an_index_that_fails_is_filled_anew
                an_index_that_lags_is_waited_for
            ],
            transient: [
                a_held_face_comes_back_as_it_was_held
                held_faces_have_their_time
                many_transient_faces_are_purged_together
                the_newest_are_held
                a_held_face_is_enrolled_into_several_sets
                an_enrolled_face_is_enrolled_once_more
                enrolling_a_held_face_has_its_reasons_to_fail
                faces_are_found_by_source_in_their_scope
                a_label_goes_to_all_of_a_source_face
                a_source_face_is_deleted_everywhere
                held_faces_of_another_tenant_are_not_there
                no_id_is_given_to_two_faces
                many_enrol_one_held_face_at_once
            ],
            persons: [
                a_person_comes_back_as_it_was_made
                a_key_is_taken_once_per_tenant
                a_person_brings_its_sets_with_it
                nothing_is_made_when_the_quota_is_passed
                a_members_faces_are_in_every_set
                faces_of_another_pack_join_no_gallery
                joining_respects_capacity_all_or_nothing
                enrolling_for_a_member_respects_each_sets_capacity
                joining_twice_is_fine
                leaving_takes_the_faces_out
                a_set_made_by_joining_goes_with_its_last_member
                a_deleted_person_leaves_no_trace
                a_merged_person_goes_only_if_it_has_given_all
                a_members_face_deleted_through_a_set_leaves_every_set
                a_members_face_is_changed_in_every_set
                a_persons_words_can_be_changed_and_cleared
                members_are_listed_in_order_of_joining
                external_ids_are_apart_between_owners
                a_persons_faces_are_deleted_by_every_selector
                a_used_person_id_is_replaced_by_the_next
                persons_are_listed_in_the_order_of_their_keys
                a_persons_key_can_be_changed
                faces_move_from_one_person_to_another
                faces_that_cannot_move_stay
                faces_are_listed_from_a_place
            ],
            imports: [
                faces_of_several_owners_are_one_commit
                faces_of_several_owners_are_refused_together
                persons_become_members_together
                persons_that_cannot_all_be_members_stay
                many_persons_are_looked_up_together
                imports_reach_no_other_tenant
            ],
            tenants: [
                sets_of_another_tenant_are_not_there
                faces_of_another_tenant_are_not_there
                persons_of_another_tenant_are_not_there
                two_tenants_may_use_the_same_words
                what_a_tenant_has_is_counted
                limits_hold_however_many_come_at_once
                joining_keeps_within_the_limit_on_faces_of_a_set
                a_deleted_tenant_is_gone_with_everything
            ],
            credentials: [
                a_tenant_is_made_once
                a_key_comes_back_as_it_was_stored
                a_key_id_is_taken_once
                a_first_key_is_added_once
                a_key_needs_its_tenant
                keys_are_listed_oldest_first
                a_key_is_switched_and_deleted
                switching_a_key_off_ends_its_sessions
                a_key_that_is_gone_writes_nothing
                an_operators_key_acts_for_every_tenant
                limits_are_changed_under_a_condition
                a_key_keeps_what_it_may_do
                a_rotated_key_has_two_secrets_for_a_while
                the_last_use_of_a_key_is_noted
                keys_of_another_tenant_are_not_there
                a_tenants_limits_come_with_its_keys
                writes_of_keys_are_commits
                the_record_tells_who_did_what
                a_place_in_the_record_is_of_one_history
                an_installation_keeps_one_secret
            ],
            jobs: [
                a_job_comes_back_as_it_was_accepted
                jobs_are_claimed_in_order_of_their_times
                tenants_are_served_in_turn
                one_tenant_cannot_fill_the_queue
                jobs_of_a_process_that_is_gone_are_due_at_once
                kinds_of_jobs_are_apart
                a_job_is_due_again_when_its_lease_ends
                a_job_is_settled_once
                a_result_is_kept_until_its_time
                many_jobs_are_forgotten_together
                no_more_jobs_wait_than_may
                a_used_job_id_is_replaced_by_the_next
                jobs_of_another_tenant_are_not_there
                jobs_are_listed_last_first
                a_job_is_cancelled_once
                what_a_cancelled_job_has_done_is_kept
                who_has_lost_a_job_writes_and_settles_nothing
                a_job_that_was_begun_can_be_kept_from_being_cancelled
                a_job_goes_on_with_what_is_left
                jobs_that_are_too_large_are_refused
                many_workers_get_different_jobs
            ],
            nonces: [
                a_token_is_spent_once
                tokens_are_bytes
                many_tokens_expire_one_by_one
                of_many_at_once_one_is_first
                tokens_have_a_length
                a_clock_that_is_set_back_revives_nothing
            ],
            uploads: [
                an_upload_is_kept_until_it_expires
                an_upload_of_the_same_name_is_replaced
                uploads_of_another_tenant_are_not_there
                uploads_are_bounded_by_the_quota
                uploads_have_a_size
                an_upload_is_forgotten_before_its_time
                many_uploads_are_purged_together
            ],
            records: [
                a_record_is_kept_until_its_time
                a_record_is_changed_and_erased
                records_are_bounded_by_the_quota
                records_that_are_too_large_are_refused
                records_are_purged
            ]
        );
    };
    (@rooms $backend:ident, ($is_possible:expr, $open:expr), $($room:ident: [$($case:ident)*]),*) => {
        mod $backend {
            use super::*;
            $(
                #[test]
                fn $room() {
                    if $is_possible() {
                        $crate::conformance::run_room(stringify!($room), $open, &[
                            $((stringify!($case), |bench| Box::pin($crate::conformance::$room::$case(bench))),)*
                        ]);
                    }
                }
            )*
        }
    };
    (@each $backend:ident, $open:expr, $($room:ident: [$($case:ident)*]),*) => {
        mod $backend {
            use super::*;
            $($(
                #[test]
                fn $case() {
                    $crate::conformance::run($open, $crate::conformance::$room::$case);
                }
            )*)*
        }
    };
}
