//! Archives that are uploaded: written to the disk as they arrive, and checked before a job enrols them.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::BytesMut;
use http::header;
use http::request::Parts;
use http_body_util::BodyExt;
use likeness_domain::access::Caller;
use likeness_domain::library::Library;
use likeness_domain::ports::ArchiveId;
use likeness_domain::types::{FaceSet, FaceSetName, PackId};
use likeness_domain::{Error, Kind};

use super::super::api::Api;
use super::super::archive_file::Header;
use super::super::body::{Call, FILE_TYPE, InFaceSet, Query, check_plain, content_type, essence};
use super::super::{convert, dto, job};
use super::imports::{ImportWork, progress, reader_of};
use super::{Answer, EraseOnDrop, IMPORT, MEDIA_TYPE, PIECE_BYTES, WAITING_MAX, dimensions, stored};
use crate::http::body::BodyDeadline;
use crate::http::budget::RATE_MIN;
use crate::http::json as json_text;

/// `POST /face-sets/{name}/archive/import-later`
pub(in crate::native) async fn import_later(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Query(mut words): Query,
    request: Request,
) -> Answer {
    let capacity = words.parsed("capacity", "a whole number")?;
    let thumbnails = words.parsed("thumbnails", "true or false")?;
    words.finish()?;
    let known = api.library.check_import(&caller, &name).await?;
    // An import that is asked for once more, in the same words, goes on.
    if let Some(set) = &known {
        let has = set.capacity.map_or_else(|| "no capacity".to_owned(), |most| format!("a capacity of {most}"));
        let keeps = if set.thumbnails { "keeps thumbnails" } else { "keeps no thumbnails" };
        for (option, is_other, so) in [
            ("capacity", capacity.is_some_and(|most| set.capacity != Some(most)), format!("has {has}")),
            ("thumbnails", thumbnails.is_some_and(|keeps| set.thumbnails != keeps), keeps.to_owned()),
        ] {
            if is_other {
                let message = format!("`{option}` is for a face set that the import makes; `{name}` exists and {so}");
                let exists = Error::new(Kind::FaceSetExists, message).with_field(option);
                return Err(exists.with_hint("leave it out, or change the face set first").into());
            }
        }
    }
    let (head, body) = request.into_parts();
    check_media_type(&head)?;
    check_plain(&head)?;
    let archive = ArchiveId { tenant: caller.tenant, number: api.library.fresh_face_id().get() };
    let mut unfinished = EraseOnDrop::new(&api.archives, archive);
    let n_bytes = received(&api, archive, &head, body).await?;
    let (now, makes_set) = (api.library.now(), known.is_none());
    let (header, fields) = stored(&api.archives, move |archives| {
        let (reader, header) = reader_of(archives, archive, now)?;
        let fields = match &header.fields {
            Some(fields) => fields.clone(),
            None if makes_set => reader.fields()?,
            None => Vec::new(),
        };
        Ok((header, fields))
    })
    .await?;
    let face_set = match known {
        Some(face_set) => face_set,
        None => {
            let asked = dto::CreateFaceSet { fields, capacity, thumbnails, ..Default::default() };
            made_face_set(&api, &caller, &name, &header, asked).await?
        }
    };
    check_pack(&api.library, &face_set, &header)?;
    let work = ImportWork::new(face_set.id, archive, n_bytes, api.library.place_in_record());
    let job = api.library.accept_job(&caller, IMPORT, json_text::write(&work).into(), WAITING_MAX).await?;
    unfinished.keep();
    Ok(job::accepted(&job, api.library.now(), progress(&job)))
}

fn check_media_type(head: &Parts) -> Result<(), Error> {
    match essence(content_type(&head.headers)).as_str() {
        "" | MEDIA_TYPE | FILE_TYPE | "application/x-ndjson" => Ok(()),
        _ => {
            let expected = "expected application/zstd, application/x-ndjson or application/octet-stream";
            Err(Error::invalid("content-type", format!("content type is not accepted, {expected}")))
        }
    }
}

/// Writes a body into an archive as it arrives; its bytes.
async fn received(api: &Api, archive: ArchiveId, head: &Parts, mut body: Body) -> Result<u64, Error> {
    let max = api.archives.bounds().tenant_bytes_max;
    let too_large = || {
        Error::new(Kind::ImageTooLarge, format!("the archive has more than {max} bytes, as many as a tenant may have"))
    };
    let announced = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|n_bytes: u64| n_bytes > max) {
        return Err(too_large());
    }
    let deadline = head.extensions.get::<BodyDeadline>();
    let (mut n_bytes, mut piece) = (0_u64, BytesMut::new());
    loop {
        let frame = body.frame().await;
        let is_end = frame.is_none();
        if let Some(frame) = frame {
            let broken =
                |error| Error::invalid("body", "the request body broke off, or arrived too slowly").with_source(error);
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            piece.extend_from_slice(&data);
        }
        if !is_end && piece.len() < PIECE_BYTES {
            continue;
        }
        let (bytes, at) = (piece.split().freeze(), n_bytes);
        n_bytes += bytes.len() as u64;
        if n_bytes > max {
            return Err(too_large());
        }
        if let Some(deadline) = deadline {
            deadline.put_off(Duration::from_millis(bytes.len() as u64 * 1000 / RATE_MIN as u64));
        }
        if !bytes.is_empty() || at == 0 {
            let now = api.library.now();
            stored(&api.archives, move |archives| archives.write(archive, at, &bytes, now)).await?;
        }
        if is_end {
            return Ok(n_bytes);
        }
    }
}

/// The face set that an archive asks for, made unless somebody else has made it meanwhile.
async fn made_face_set(
    api: &Api,
    caller: &Caller,
    name: &FaceSetName,
    header: &Header,
    asked: dto::CreateFaceSet,
) -> Result<FaceSet, Error> {
    let pack = pack_of(header)?;
    check_dimensions(&api.library, &pack, header)?;
    let body = dto::CreateFaceSet {
        name: name.to_string(),
        label: header.label.clone(),
        note: header.note.clone(),
        quality: header.quality.clone(),
        pack: Some(header.pack.clone()),
        ..asked
    };
    match api.library.create_face_set_of(caller, convert::create_face_set(body)?, &pack).await {
        Err(error) if error.kind() == Kind::FaceSetExists => api.library.check_import(caller, name).await?.ok_or(error),
        made => made,
    }
}

fn pack_of(header: &Header) -> Result<PackId, Error> {
    let missing = || Error::invalid("pack", "line 1: `pack` is missing");
    convert::pack_id(Some(&header.pack)).map_err(|error| error.about("line 1"))?.ok_or_else(missing)
}

fn check_dimensions(library: &Library, pack: &PackId, header: &Header) -> Result<(), Error> {
    let expected = dimensions(library, pack)?;
    if header.dimensions != expected {
        let found = header.dimensions;
        let message = format!("line 1: `dimensions` is {found}, templates of `{pack}` have {expected}");
        return Err(Error::invalid("archive", message));
    }
    Ok(())
}

fn check_pack(library: &Library, face_set: &FaceSet, header: &Header) -> Result<(), Error> {
    let theirs = pack_of(header)?;
    if theirs != face_set.pack {
        let (name, ours) = (&face_set.name, &face_set.pack);
        let message = format!("the archive's templates are of model pack `{theirs}`, face set `{name}` is of `{ours}`");
        return Err(Error::invalid("pack", message).with_hint("import it into a face set of its own"));
    }
    check_dimensions(library, &theirs, header)
}
