//! `likeness face`: enrol, list, show, update, delete. Enrolling a whole folder is in [`super::import`].

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use likeness_domain::Error;
use likeness_wire::native::dto;

use super::connection::{Connection, Needs, Payload};
use super::deed::Deed;
use super::table::{self, Align, counted};
use super::{import, photo, terminal};
use crate::cli::library_args::LibraryArgs;
use crate::config::Config;
use crate::outcome::refused;
use crate::outcome::{Outcome, Verdict};

/// Enrolled faces.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Enrol the largest face of a photograph
    #[command(after_help = "Example: likeness face add anna.jpg --set staff --subject anna")]
    Add(AddArgs),
    /// Enrol a folder of photographs; can be run again without enrolling twice
    #[command(
        after_help = "Examples:\n  likeness face import photos/ --set staff --create\n  likeness face import photos/anna --person anna --create"
    )]
    Import(import::ImportArgs),
    /// List faces in order of enrolment
    #[command(after_help = "Example: likeness face list --set staff --limit 20")]
    List(ListArgs),
    /// Show one face
    #[command(after_help = "Example: likeness face show 5577006791947779410 --set staff")]
    Show(ShowArgs),
    /// Change what is said of a face: its label, note, custom fields
    #[command(after_help = "\
        An empty text or value takes away what is there.\n\n\
        Example: likeness face update 5577006791947779410 --set staff --subject anna --field floor=3")]
    Update(UpdateArgs),
    /// Delete faces by id, subject or filter; there is no way back
    #[command(after_help = "Example: likeness face delete --set staff --subject anna --dry-run")]
    Delete(DeleteArgs),
}

/// See [`Command::Add`].
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The photograph
    photo: PathBuf,
    /// Into which face set
    #[arg(long = "set", value_name = "NAME", required_unless_present = "person")]
    face_set: Option<String>,
    /// As a face of this person instead, which all its face sets show; the photograph has to show one face
    #[arg(long, value_name = "KEY", conflicts_with_all = ["face_set", "subject", "external_id", "fields", "all_faces"])]
    person: Option<String>,
    /// Label saying who it is
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Your own id of this face; the same one twice is refused
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// A value of a custom field; can be repeated
    #[arg(long = "field", value_name = "NAME=VALUE")]
    fields: Vec<String>,
    /// Enrol every face of the photograph, not only the largest
    #[arg(long)]
    all_faces: bool,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::List`].
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Of which face set
    #[arg(long = "set", value_name = "NAME")]
    face_set: String,
    /// Faces to leave out at the start
    #[arg(long, default_value_t = 0, value_name = "N")]
    offset: u64,
    /// Most faces to list
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: u64,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::Show`].
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Its id
    id: String,
    /// Of which face set
    #[arg(long = "set", value_name = "NAME")]
    face_set: String,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::Update`].
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    which: ShowArgs,
    /// Label saying who it is; an empty one clears it
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Free text; an empty one clears it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// A value of a custom field, an empty one clears it; can be repeated
    #[arg(long = "field", value_name = "NAME=VALUE")]
    fields: Vec<String>,
    /// Take its external id away, so that it may be used again
    #[arg(long)]
    no_external_id: bool,
}

/// See [`Command::Delete`].
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    which: WhichFaces,
    /// Of which face set
    #[arg(long = "set", value_name = "NAME")]
    face_set: String,
    /// Say how many faces would be deleted, and delete none
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask at a terminal; without one nothing is asked
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    library: LibraryArgs,
}

/// Exactly one way to say which.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct WhichFaces {
    /// Their ids
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All with this label
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// All that pass this filter, as in `age:[30 TO 40]`
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(command: Command, config: &Config) -> Outcome {
    match command {
        Command::Add(args) => add(args, config).await,
        Command::Import(args) => import::run(args, config).await,
        Command::List(args) => list(args, config).await,
        Command::Show(args) => show(args, config).await,
        Command::Update(args) => update(args, config).await,
        Command::Delete(args) => delete(args, config).await,
    }
}

async fn add(args: AddArgs, config: &Config) -> Outcome {
    let face_set = match (&args.person, &args.face_set) {
        (Some(person), _) => return super::person::add_faces(person, &[args.photo], args.library, config).await,
        (None, face_set) => face_set.as_deref().unwrap_or_default(),
    };
    let image = photo::read(&args.photo)?;
    let mut query = vec![("faces", if args.all_faces { "all" } else { "largest" })];
    query.extend(args.subject.as_deref().map(|subject| ("subject", subject)));
    query.extend(args.external_id.as_deref().map(|id| ("external_id", id)));
    let fields = args.fields.iter().map(|text| named_value(text).map(|(name, value)| (format!("field.{name}"), value)));
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    query.extend(fields.iter().map(|(name, value)| (name.as_str(), *value)));
    let connection = Connection::open(config, args.library.tenant(), Needs::Pack).await?;
    let path = ["face-sets", face_set, "faces"];
    let added: dto::Faces = connection
        .call(Method::POST, &path, &query, Payload::Image(image))
        .await
        .map_err(|error| photo::failure(&args.photo, error))?;
    if args.library.json {
        terminal::json(&added)?;
    } else {
        for face in &added.faces {
            terminal::data(format!("enrolled face {} into `{}`{}", face.id, face_set, of_subject(face)));
        }
        for face in &added.refused {
            terminal::message(format!("refused a face: {}", face.reasons.join(", ")));
        }
    }
    Ok(Verdict::Done)
}

/// Who a face shows: its label, else the person that it belongs to, by name or else by key.
pub(super) fn who(face: &dto::Face) -> Option<&str> {
    face.subject.as_deref().or(face.person_name.as_deref()).or(face.person.as_deref())
}

fn of_subject(face: &dto::Face) -> String {
    face.subject.as_ref().map(|subject| format!(" as `{subject}`")).unwrap_or_default()
}

async fn list(args: ListArgs, config: &Config) -> Outcome {
    let connection = Connection::open(config, args.library.tenant(), Needs::StoreOnly).await?;
    let (offset, limit) = (args.offset.to_string(), args.limit.to_string());
    let query = [("offset", offset.as_str()), ("limit", limit.as_str())];
    let path = ["face-sets", &args.face_set, "faces"];
    let listed: dto::Faces = connection.call(Method::GET, &path, &query, Payload::Empty).await?;
    if args.library.json {
        terminal::json(&listed)?;
        return Ok(Verdict::Done);
    }
    let columns =
        [("id", Align::Right), ("subject", Align::Left), ("external id", Align::Left), ("enrolled", Align::Left)];
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let row = |face: &dto::Face| {
        vec![face.id.clone(), who(face).unwrap_or("-").to_owned(), text(&face.external_id), face.created_at.clone()]
    };
    let rows: Vec<_> = listed.faces.iter().map(row).collect();
    if rows.is_empty() {
        terminal::message("no face here");
    } else {
        table::lines(&columns, &rows).iter().for_each(terminal::data);
    }
    if let Some(next_offset) = listed.next_offset {
        terminal::message(format!("there may be more: go on with `--offset {next_offset}`"));
    }
    Ok(Verdict::Done)
}

async fn show(args: ShowArgs, config: &Config) -> Outcome {
    let connection = Connection::open(config, args.library.tenant(), Needs::StoreOnly).await?;
    let path = ["face-sets", &args.face_set, "faces", &args.id];
    let face: dto::Face = connection.call(Method::GET, &path, &[], Payload::Empty).await?;
    if args.library.json {
        terminal::json(&face)?;
        return Ok(Verdict::Done);
    }
    let dto::BoundingBox { left, top, width, height } = face.detection.bounding_box;
    let words = [("subject", &face.subject), ("external id", &face.external_id), ("note", &face.note)];
    terminal::data(format!("id           {}", face.id));
    if let Some(key) = &face.person {
        let name = face.person_name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        terminal::data(format!("person       {key}{name}"));
    }
    for (name, text) in words {
        if let Some(text) = text {
            terminal::data(format!("{name:<11}  {text}"));
        }
    }
    for (name, value) in &face.fields {
        terminal::data(format!("field        {name} = {value}"));
    }
    terminal::data(format!("box          {width} x {height} at {left}, {top}"));
    terminal::data(format!("score        {:.3}", face.detection.score));
    terminal::data(format!("enrolled     {}", face.created_at));
    terminal::data(format!("changed      {}", face.updated_at));
    Ok(Verdict::Done)
}

async fn update(args: UpdateArgs, config: &Config) -> Outcome {
    let UpdateArgs { which: ShowArgs { id, face_set, library }, subject, note, fields, no_external_id } = args;
    if subject.is_none() && note.is_none() && fields.is_empty() && !no_external_id {
        return Err(refused(format!("nothing is said to change of face {id}"))
            .with_hint("give some of `--subject`, `--note`, `--field` and `--no-external-id`"));
    }
    let given = fields.iter().map(|text| named_value(text)).collect::<Result<Vec<_>, _>>()?;
    let connection = Connection::open(config, library.tenant(), Needs::StoreOnly).await?;
    let mut values = dto::Values::new();
    if !given.is_empty() {
        let set: dto::FaceSet = connection.call(Method::GET, &["face-sets", &face_set], &[], Payload::Empty).await?;
        for (name, value) in given {
            let field_type = set.fields.iter().find(|field| field.name == name).map(|field| field.field_type.as_str());
            if values.insert(name.to_owned(), value_of(field_type, value)).is_some() {
                return Err(refused(format!("`--field` names `{name}` twice")));
            }
        }
    }
    let body = dto::UpdateFace { subject, external_id: no_external_id.then(String::new), note, fields: values };
    let path = ["face-sets", &face_set, "faces", &id];
    let changed: dto::Face = connection.call(Method::PATCH, &path, &[], Payload::json(&body)?).await?;
    if library.json {
        terminal::json(&changed)?;
    } else {
        terminal::data(format!("changed face {}{}", changed.id, of_subject(&changed)));
    }
    Ok(Verdict::Done)
}

/// Name and value of a custom field.
fn named_value(text: &str) -> Result<(&str, &str), Error> {
    text.split_once('=').ok_or_else(|| refused(format!("`--field` is `{text}`, expected NAME=VALUE")))
}

/// A value as JSON has it. One that does not fit its type stays a text, which the library refuses with the field's name.
fn value_of(field_type: Option<&str>, text: &str) -> serde_json::Value {
    let is_text = field_type.is_none_or(|field_type| field_type == "string");
    match text {
        "" => serde_json::Value::Null,
        text if is_text => text.into(),
        text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

async fn delete(args: DeleteArgs, config: &Config) -> Outcome {
    let which = match args.which {
        WhichFaces { subject: Some(subject), .. } => dto::DeleteFaces::Subject(subject),
        WhichFaces { filter: Some(filter), .. } => dto::DeleteFaces::Filter(filter),
        WhichFaces { ids, .. } => dto::DeleteFaces::Ids(ids),
    };
    let connection = Connection::open(config, args.library.tenant(), Needs::StoreOnly).await?;
    if args.dry_run || !args.yes {
        let path = ["face-sets", &args.face_set, "faces", "count"];
        let meant: dto::FacesMeant = connection.call(Method::POST, &path, &[], Payload::json(&which)?).await?;
        let (faces, face_set) = (counted(meant.n_faces, "face"), &args.face_set);
        if args.dry_run {
            match args.library.json {
                true => terminal::json(&meant)?,
                false => terminal::data(format!("would delete {faces} from `{face_set}`")),
            }
            return Ok(if meant.n_faces == 0 { Verdict::No } else { Verdict::Done });
        }
        // Where there is nothing to delete there is nothing to ask.
        if meant.n_faces > 0 && !Deed::DeleteFaces(meant.n_faces, face_set).is_confirmed(false)? {
            return Ok(Verdict::No);
        }
    }
    let path = ["face-sets", &args.face_set, "faces", "delete"];
    let gone: dto::FacesDeleted = connection.call(Method::POST, &path, &[], Payload::json(&which)?).await?;
    if args.library.json {
        terminal::json(&gone)?;
    } else {
        terminal::data(format!("deleted {} from `{}`", counted(gone.deleted.len() as u64, "face"), args.face_set));
    }
    // Asking for what is not there is answered "no", so that a script sees the difference.
    Ok(if gone.deleted.is_empty() { Verdict::No } else { Verdict::Done })
}
