//! Every operation of the native API, once: from this table the router is made and the API is described.

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Router};
use likeness_domain::access::{Grant, Grants};

use super::api::Api;
use super::body::Accepts;
use super::{
    archive, archive_jobs, changes, deletes, details, enrolments, jobs, keys, persons, routes, server, session, tenants,
};
use crate::adapter::needs::{DELETE, DELETE_SET, ENROL, MANAGE, NOTHING, OPERATE, READ, SEARCH};

const EXPORT: Grants = Grants::of(&[Grant::Read, Grant::Templates]);
const IMPORT: Grants = Grants::of(&[Grant::Enrol, Grant::Templates]);
const MERGE: Grants = Grants::of(&[Grant::Enrol, Grant::Delete]);

/// An operation as data.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Its name: unique, in the words of a function's name.
    pub name: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path below [`super::PREFIX`], with `{arguments}`.
    pub path: &'static str,
    /// What an access key must be allowed to do.
    pub needs: Grants,
    /// What it does, in a line.
    pub about: &'static str,
}

/// The operations that honour `If-Match`.
const CONDITIONAL: [&str; 4] = ["update_face_set", "update_face", "update_person", "update_tenant"];

struct Route {
    info: Operation,
    handler: MethodRouter<Api>,
}

/// A row: method, path, name, what it needs, what it does, who does it.
fn row<H, T>(
    (method, path): (&'static str, &'static str),
    name: &'static str,
    needs: Grants,
    about: &'static str,
    handler: H,
) -> Route
where
    H: Handler<T, Api>,
    T: 'static,
{
    let filter = match method {
        "GET" => MethodFilter::GET,
        "POST" => MethodFilter::POST,
        "PATCH" => MethodFilter::PATCH,
        "DELETE" => MethodFilter::DELETE,
        other => unreachable!("the table has no operation with the method {other}"),
    };
    let accepts = Accepts { query: details::takes_query(name), if_match: CONDITIONAL.contains(&name) };
    let handler = on(filter, handler).layer(Extension(accepts));
    Route { info: Operation { name, method, path, needs, about }, handler }
}

#[rustfmt::skip]
fn table() -> Vec<Route> {
    vec![
        row(("POST", "/session"), "begin_session", NOTHING, "sign in with a key, for browsers", session::begin),
        row(("GET", "/session"), "show_session", NOTHING, "who asks and what they may do", session::show),
        row(("DELETE", "/session"), "end_session", NOTHING, "sign out", session::end),
        row(("POST", "/tickets"), "make_ticket", NOTHING, "a ticket for a session of the data folder's owner; through the socket only", session::ticket),
        row(("GET", "/status"), "show_status", NOTHING, "the state of the server and how much the tenant has", keys::status),
        row(("GET", "/packs"), "list_packs", NOTHING, "the loaded model packs with their operating points", routes::packs),
        row(("GET", "/settings"), "show_settings", MANAGE, "the server's settings and who set them", server::settings),
        row(("GET", "/metrics"), "show_metrics", MANAGE, "what the server counted since its start, and how busy it is", server::metrics),

        row(("GET", "/face-sets"), "list_face_sets", READ, "list face sets", routes::list_face_sets),
        row(("POST", "/face-sets"), "create_face_set", MANAGE, "make a face set", routes::create_face_set),
        row(("GET", "/face-sets/{name}"), "show_face_set", READ, "show a face set", routes::show_face_set),
        row(("PATCH", "/face-sets/{name}"), "update_face_set", MANAGE, "change a face set's name, label, note, tags, quality, capacity or whether it keeps thumbnails", routes::update_face_set),
        row(("DELETE", "/face-sets/{name}"), "delete_face_set", DELETE_SET, "delete a face set with its faces", routes::delete_face_set),

        row(("GET", "/face-sets/{name}/faces"), "list_faces", READ, "list the faces of a set", routes::list_faces),
        row(("POST", "/face-sets/{name}/faces"), "add_faces", ENROL, "enrol faces of an image", routes::add_faces),
        row(("POST", "/face-sets/{name}/faces/enrol-later"), "add_faces_later", ENROL, "enrol faces of many images as a job, which is told of", enrolments::enrol_later),
        row(("GET", "/face-sets/{name}/faces/{id}"), "show_face", READ, "show a face", routes::show_face),
        row(("GET", "/face-sets/{name}/faces/{id}/thumbnail"), "show_thumbnail", READ, "the small picture of a face, a JPEG file", routes::show_thumbnail),
        row(("POST", "/face-sets/{name}/faces/thumbnails"), "list_thumbnails", READ, "small pictures of up to 100 faces", routes::list_thumbnails),
        row(("PATCH", "/face-sets/{name}/faces/{id}"), "update_face", ENROL, "change a face's label, note or fields", routes::update_face),
        row(("DELETE", "/face-sets/{name}/faces/{id}"), "delete_face", DELETE, "delete a face", routes::delete_face),
        row(("POST", "/face-sets/{name}/faces/delete"), "delete_faces", DELETE, "delete faces by ids, subject, field or filter", routes::delete_faces),
        row(("POST", "/face-sets/{name}/faces/delete-later"), "delete_faces_later", DELETE, "delete faces as a job, which is told of", deletes::delete_later),
        row(("POST", "/face-sets/{name}/faces/count"), "count_faces", READ, "how many faces a delete would delete", routes::count_faces),
        row(("POST", "/face-sets/{name}/faces/enrolled"), "enrolled", READ, "which external ids are enrolled", routes::enrolled),
        row(("GET", "/face-sets/{name}/archive"), "export_faces", EXPORT, "faces with their templates", archive::export),
        row(("POST", "/face-sets/{name}/archive"), "import_faces", IMPORT, "enrol faces by their templates", archive::import),
        row(("POST", "/face-sets/{name}/archive/export-later"), "export_faces_later", EXPORT, "make an archive of a set as a job, which is told of", archive_jobs::export_later),
        row(("POST", "/face-sets/{name}/archive/import-later"), "import_faces_later", IMPORT, "enrol an archive as a job, which is told of; `manage` makes the set", archive_jobs::import_later),
        row(("GET", "/face-sets/{name}/persons"), "list_members", READ, "list the persons that are members of a set", persons::members),

        row(("POST", "/face-sets/{name}/search"), "search", SEARCH, "who of a set resembles a face", routes::search),
        row(("POST", "/face-sets/{name}/search-picture"), "search_picture", SEARCH, "who of a set resembles each face of a picture", routes::search_picture),
        row(("POST", "/compare"), "compare", SEARCH, "compare the faces of two images", routes::compare),
        row(("POST", "/compare-many"), "compare_many", SEARCH, "compare the face of an image with those of several others", routes::compare_many),
        row(("POST", "/detect"), "detect", SEARCH, "find and measure the faces of an image", routes::detect),
        row(("POST", "/uploads"), "upload", SEARCH, "keep an image for an hour, to be named in later requests", routes::upload),
        row(("POST", "/liveness"), "liveness", SEARCH, "judge a picture or a clip", routes::liveness),

        row(("GET", "/persons"), "list_persons", READ, "list persons in the order of their keys", persons::list),
        row(("POST", "/persons"), "create_person", ENROL, "make a person", persons::create),
        row(("GET", "/persons/{key}"), "show_person", READ, "show a person and its face sets", persons::show),
        row(("PATCH", "/persons/{key}"), "update_person", ENROL, "change a person's key, name or note", persons::update),
        row(("DELETE", "/persons/{key}"), "delete_person", DELETE, "delete a person with its faces", persons::delete),
        row(("GET", "/persons/{key}/faces"), "list_person_faces", READ, "list the faces of a person", persons::list_faces),
        row(("POST", "/persons/{key}/faces/thumbnails"), "list_person_thumbnails", READ, "small pictures of up to 100 faces of a person", persons::list_thumbnails),
        row(("POST", "/persons/{key}/faces"), "add_person_face", ENROL, "enrol a face of a person", persons::add_face),
        row(("DELETE", "/persons/{key}/faces/{id}"), "delete_person_face", DELETE, "delete a face of a person", persons::delete_face),
        row(("POST", "/persons/{key}/face-sets"), "change_memberships", ENROL, "join and leave face sets", persons::change_face_sets),
        row(("POST", "/persons/{key}/compare"), "compare_person", SEARCH, "compare the face of an image with a person", persons::compare),
        row(("POST", "/persons/{key}/move"), "move_faces", ENROL, "give faces of a person to another", persons::move_faces),
        row(("POST", "/persons/{key}/merge"), "merge_persons", MERGE, "give all faces of another person to this one and delete the other", persons::merge),
        row(("POST", "/persons/{key}/split"), "split_person", ENROL, "make a new person of some faces of this one", persons::split),

        row(("GET", "/keys"), "list_keys", MANAGE, "list the access keys of the tenant", keys::list),
        row(("POST", "/keys"), "create_key", MANAGE, "make an access key; its secret is shown this once", keys::create),
        row(("GET", "/keys/{id}"), "show_key", MANAGE, "show an access key", keys::show),
        row(("PATCH", "/keys/{id}"), "update_key", MANAGE, "switch an access key on or off", keys::update),
        row(("POST", "/keys/{id}/rotate"), "rotate_key", MANAGE, "give an access key a new secret, shown this once", keys::rotate),
        row(("DELETE", "/keys/{id}"), "delete_key", MANAGE, "delete an access key", keys::delete),

        row(("GET", "/changes"), "list_changes", MANAGE, "who changed what, and when: the record of commits, oldest first", changes::list),

        row(("GET", "/jobs"), "list_jobs", READ, "list jobs, the one accepted last first", jobs::list),
        row(("GET", "/jobs/{id}"), "show_job", NOTHING, "show a job; those of other keys with `read` only", jobs::show),
        row(("GET", "/jobs/{id}/archive"), "fetch_archive", EXPORT, "fetch the archive that a job has made, or a stretch of it", archive_jobs::download),
        row(("DELETE", "/jobs/{id}/archive"), "erase_archive", EXPORT, "erase the archive that a job has made", archive_jobs::erase),
        row(("DELETE", "/jobs/{id}"), "cancel_job", NOTHING, "cancel a job that is not done; those of other keys with `manage` only", jobs::cancel),

        row(("GET", "/tenants"), "list_tenants", OPERATE, "list the tenants of the installation", tenants::list),
        row(("POST", "/tenants"), "create_tenant", OPERATE, "make a tenant", tenants::create),
        row(("GET", "/tenants/{name}"), "show_tenant", OPERATE, "show a tenant, its limits and how much it has", tenants::show),
        row(("PATCH", "/tenants/{name}"), "update_tenant", OPERATE, "change the limits of a tenant", tenants::update),
        row(("DELETE", "/tenants/{name}"), "delete_tenant", OPERATE, "delete a tenant with all that it has", tenants::delete),
        row(("POST", "/tenants/{name}/keys"), "create_tenant_key", OPERATE, "make an access key of a tenant that has nothing yet, or an operator's; its secret is shown this once", tenants::create_key),
        row(("GET", "/report"), "show_report", OPERATE, "what the store holds, over all tenants, and what is damaged", tenants::report),
        row(("GET", "/report/progress"), "show_report_progress", OPERATE, "how far the thorough report is that was asked for last", tenants::report_progress),
        row(("DELETE", "/report/losses"), "acknowledge_losses", OPERATE, "report lost commits no more, which somebody has seen", tenants::acknowledge_losses),
    ]
}

/// Every operation that a key may ask for.
pub fn operations() -> Vec<Operation> {
    table().into_iter().map(|route| route.info).collect()
}

/// The routes of all operations.
pub(super) fn router() -> Router<Api> {
    table().into_iter().fold(Router::new(), |router, route| router.route(route.info.path, route.handler))
}
