//! `likeness person`: make, list, show, change, compare, delete.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use likeness_domain::{Error, Kind};
use likeness_wire::native::dto;

use super::connection::{Connection, Needs, Payload};
use super::deed::Deed;
use super::photo;
use super::rates::{rate, with_interval};
use super::table::{self, Align, counted};
use super::terminal;
use crate::cli::library_args::LibraryArgs;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, refused};

/// Persons: identities that own faces and are members of face sets.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a person, as a member of face sets if you like
    #[command(after_help = "Example: likeness person create anna --name 'Anna B.' --set staff")]
    Create(CreateArgs),
    /// List the persons in the order of their keys
    #[command(after_help = "Example: likeness person list --json")]
    List(ListArgs),
    /// Show one person and its face sets
    #[command(after_help = "Example: likeness person show anna")]
    Show(KeyArgs),
    /// Give a person another key, name or note; its faces stay
    #[command(after_help = "Example: likeness person rename anna --key anna-b --name 'Anna B.'")]
    Rename(RenameArgs),
    /// A person's faces: enrol, list, delete
    #[command(subcommand)]
    Face(FaceCommand),
    /// Make a person a member of face sets, which show its faces from then on; a set that does not exist is made
    #[command(after_help = "Example: likeness person join anna staff visitors")]
    Join(MembershipArgs),
    /// Take a person out of face sets; its faces stay the person's
    #[command(after_help = "Example: likeness person leave anna visitors")]
    Leave(MembershipArgs),
    /// Tell whether a photograph shows a person
    #[command(after_help = "\
        Ends with 0 if it does, 1 if it does not. The rate is that of the verdict, whatever the number of the person's faces.\n\n\
        Example: likeness person compare anna visitor.jpg --far 1e-4")]
    Compare(CompareArgs),
    /// Give some faces of a person to another
    #[command(after_help = "Example: likeness person move anna bert 5577006791947779410")]
    Move(MoveArgs),
    /// Make a new person of some faces of one; it joins the same face sets
    #[command(after_help = "Example: likeness person split anna anna-2 5577006791947779410 --name 'Anna C.'")]
    Split(SplitArgs),
    /// Give all faces and face sets of one person to another, and delete the first; there is no way back
    #[command(after_help = "Example: likeness person merge anna-2 anna --yes")]
    Merge(MergeArgs),
    /// Delete a person and its faces; there is no way back
    #[command(after_help = "Example: likeness person delete anna --yes")]
    Delete(DeleteArgs),
}

/// See [`Command::Create`].
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its key, unique within the tenant
    key: String,
    /// Name for people
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Free text
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// A face set to be a member of, made if there is none; can be repeated
    #[arg(long = "set", value_name = "NAME")]
    face_sets: Vec<String>,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::Face`].
#[derive(Debug, Subcommand)]
pub(crate) enum FaceCommand {
    /// Enrol a face of a person from each photograph, which has to show one face
    #[command(after_help = "Example: likeness person face add anna anna-1.jpg anna-2.jpg")]
    Add(AddFacesArgs),
    /// List a person's faces
    #[command(after_help = "Example: likeness person face list anna --json")]
    List(KeyArgs),
    /// Delete faces of a person; there is no way back
    #[command(after_help = "Example: likeness person face remove anna 5577006791947779410 --yes")]
    Remove(RemoveFacesArgs),
}

/// See [`FaceCommand::Add`].
#[derive(Debug, Args)]
pub(crate) struct AddFacesArgs {
    /// Key of the person
    key: String,
    /// The photographs
    #[arg(value_name = "PHOTO", required = true)]
    photos: Vec<PathBuf>,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`FaceCommand::Remove`].
#[derive(Debug, Args)]
pub(crate) struct RemoveFacesArgs {
    #[command(flatten)]
    which: FacesArgs,
    /// Do not ask at a terminal; without one nothing is asked
    #[arg(long)]
    yes: bool,
}

/// Faces of a person.
#[derive(Debug, Args)]
pub(crate) struct FacesArgs {
    /// Key of the person
    key: String,
    /// Ids of the faces
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::Join`] and [`Command::Leave`].
#[derive(Debug, Args)]
pub(crate) struct MembershipArgs {
    /// Key of the person
    key: String,
    /// The face sets
    #[arg(value_name = "SET", required = true)]
    face_sets: Vec<String>,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::Compare`].
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Key of the person
    key: String,
    /// The photograph
    photo: PathBuf,
    /// How often a stranger may be taken for the person [default: 1e-4, or what `pack calibrate --default-far` has set]
    #[arg(long, value_name = "RATE", value_parser = crate::cli::numbers::finite::<f64>)]
    far: Option<f64>,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::Move`].
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// Key of the person that has the faces
    from: String,
    /// Key of the person that gets them
    to: String,
    /// Ids of the faces
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::Split`].
#[derive(Debug, Args)]
pub(crate) struct SplitArgs {
    /// Key of the person that has the faces
    from: String,
    /// Key of the new person
    key: String,
    /// Ids of the faces
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Name of the new person for people
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Free text about it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::List`].
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    library: LibraryArgs,
}

/// A person by its key.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// Its key
    key: String,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::Rename`].
#[derive(Debug, Args)]
pub(crate) struct RenameArgs {
    /// Its key so far
    #[arg(value_name = "PERSON")]
    person: String,
    /// Its key from now on, unique within the tenant
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Name for people; an empty one clears it
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Free text; an empty one clears it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::Merge`].
#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// Key of the person that goes
    from: String,
    /// Key of the person that gets its faces
    into: String,
    /// Do not ask at a terminal; without one nothing is asked
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::Delete`].
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    which: KeyArgs,
    /// Do not ask at a terminal; without one nothing is asked
    #[arg(long)]
    yes: bool,
}

/// Runs the command.
pub(crate) async fn run(command: Command, config: &Config) -> Outcome {
    match command {
        Command::Create(args) => create(args, config).await,
        Command::Face(FaceCommand::Add(args)) => add_faces(&args.key, &args.photos, args.library, config).await,
        Command::Face(FaceCommand::List(args)) => list_faces(args, config).await,
        Command::Face(FaceCommand::Remove(args)) => remove_faces(args, config).await,
        Command::Join(args) => change_memberships(args, true, config).await,
        Command::Leave(args) => change_memberships(args, false, config).await,
        Command::Compare(args) => compare(args, config).await,
        Command::Move(args) => move_faces(args, config).await,
        Command::Split(args) => split(args, config).await,
        Command::List(args) => list(args, config).await,
        Command::Show(args) => show(args, config).await,
        Command::Rename(args) => rename(args, config).await,
        Command::Merge(args) => merge(args, config).await,
        Command::Delete(args) => delete(args, config).await,
    }
}

async fn create(args: CreateArgs, config: &Config) -> Outcome {
    let CreateArgs { key, name, note, face_sets, library } = args;
    let body = dto::CreatePerson { key, name, note, face_sets };
    // Face sets that do not exist are made.
    let connection = Connection::open(config, library.tenant(), Needs::Pack).await?;
    let made: dto::Person = connection.call(Method::POST, &["persons"], &[], Payload::json(&body)?).await?;
    if library.json {
        terminal::json(&made)?;
    } else {
        terminal::data(format!("made person `{}`{}", made.key, member_of(&made)));
    }
    Ok(Verdict::Done)
}

/// The face sets of a person, where it has any.
fn member_of(person: &dto::Person) -> String {
    let names: Vec<_> = person.face_sets.iter().flatten().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!(", a member of {}", names.join(", ")) }
}

/// Enrols a face from each photograph. One that is refused is named, and the others are enrolled.
pub(super) async fn add_faces(key: &str, photos: &[PathBuf], library: LibraryArgs, config: &Config) -> Outcome {
    let connection = Connection::open(config, library.tenant(), Needs::Pack).await?;
    let (mut added, mut first_error) = (dto::Faces::of(Vec::new()), None);
    for photo in photos {
        let path = ["persons", key, "faces"];
        let enrolled: Result<dto::Faces, Error> = match photo::read(photo) {
            Ok(image) => connection.call(Method::POST, &path, &[], Payload::Image(image)).await,
            Err(error) => Err(error),
        };
        match enrolled {
            Ok(enrolled) => {
                if !library.json {
                    enrolled.faces.iter().for_each(|face| {
                        terminal::data(format!("enrolled face {} of person `{key}`", face.id));
                    });
                }
                added.faces.extend(enrolled.faces);
            }
            Err(error) => {
                let error = photo::failure(photo, error);
                if photos.len() == 1 {
                    return Err(error);
                }
                // Some say the name themselves.
                let named = format!("{}: ", photo.display());
                let message = error.message().strip_prefix(&named).unwrap_or(error.message());
                terminal::message(format!("refused: {named}{message}"));
                first_error = first_error.or(Some(error));
            }
        }
    }
    match (added.faces.is_empty(), first_error) {
        // Nothing was done: the first reason is why.
        (true, Some(error)) => Err(error),
        (_, error) => {
            if library.json {
                terminal::json(&added)?;
            } else if photos.len() > 1 {
                let (n_faces, photographs) = (added.faces.len(), counted(photos.len() as u64, "photograph"));
                terminal::message(format!("enrolled {n_faces} of {photographs}"));
            }
            Ok(if error.is_some() { Verdict::No } else { Verdict::Done })
        }
    }
}

async fn list_faces(args: KeyArgs, config: &Config) -> Outcome {
    let connection = Connection::open(config, args.library.tenant(), Needs::StoreOnly).await?;
    let path = ["persons", &args.key, "faces"];
    let listed = connection.all_at(&path, |page: &mut dto::Faces| (&mut page.faces, &mut page.next_cursor)).await?;
    if args.library.json {
        terminal::json(&listed)?;
        return Ok(Verdict::Done);
    }
    let columns = [("id", Align::Right), ("enrolled", Align::Left)];
    let rows: Vec<_> = listed.faces.iter().map(|face| vec![face.id.clone(), face.created_at.clone()]).collect();
    if rows.is_empty() {
        terminal::message(format!("person `{}` has no face", args.key));
    } else {
        table::lines(&columns, &rows).iter().for_each(terminal::data);
    }
    Ok(Verdict::Done)
}

async fn remove_faces(args: RemoveFacesArgs, config: &Config) -> Outcome {
    let RemoveFacesArgs { which: FacesArgs { key, ids, library }, yes } = args;
    let connection = Connection::open(config, library.tenant(), Needs::StoreOnly).await?;
    if !Deed::DeletePersonFaces(ids.len() as u64, &key).is_confirmed(yes)? {
        return Ok(Verdict::No);
    }
    let mut gone = dto::FacesDeleted { deleted: Vec::new(), unknown: Vec::new() };
    for id in &ids {
        let path = ["persons", &key, "faces", id];
        match connection.call::<dto::FacesDeleted>(Method::DELETE, &path, &[], Payload::Empty).await {
            Ok(deleted) => gone.deleted.extend(deleted.deleted),
            Err(error) if error.kind() == Kind::FaceNotFound => gone.unknown.push(id.clone()),
            Err(error) => return Err(error),
        }
    }
    gone.unknown.retain(|id| !gone.deleted.contains(id));
    say_unknown(&key, &gone.unknown);
    if library.json {
        terminal::json(&gone)?;
    } else {
        terminal::data(format!("deleted {} of person `{key}`", counted(gone.deleted.len() as u64, "face")));
    }
    Ok(if gone.deleted.is_empty() { Verdict::No } else { Verdict::Done })
}

async fn change_memberships(args: MembershipArgs, is_join: bool, config: &Config) -> Outcome {
    let MembershipArgs { key, face_sets, library } = args;
    let (join, leave) = if is_join { (face_sets, Vec::new()) } else { (Vec::new(), face_sets) };
    let body = dto::ChangeMemberships { join, leave };
    // Face sets that do not exist are made by joining.
    let needs = if is_join { Needs::Pack } else { Needs::StoreOnly };
    let connection = Connection::open(config, library.tenant(), needs).await?;
    // A name that was misspelt is nothing to be passed over: the one makes a face set of it, the other takes nobody out.
    let before: dto::Person = connection.call(Method::GET, &["persons", &key], &[], Payload::Empty).await?;
    let is_member = |name: &String| before.face_sets.iter().flatten().any(|joined| joined == name);
    let strange: Vec<String> = body.leave.iter().filter(|name| !is_member(name)).cloned().collect();
    let is_all_strange = !body.leave.is_empty() && strange.len() == body.leave.len();
    let mut made = Vec::new();
    for name in &body.join {
        match connection.call::<dto::FaceSet>(Method::GET, &["face-sets", name], &[], Payload::Empty).await {
            Err(error) if error.kind() == Kind::FaceSetNotFound => made.push(name.clone()),
            _ => {}
        }
    }
    let path = ["persons", &key, "face-sets"];
    let changed: dto::Person = connection.call(Method::POST, &path, &[], Payload::json(&body)?).await?;
    made.iter().for_each(|name| terminal::message(format!("made face set `{name}`")));
    if !strange.is_empty() {
        terminal::message(format!("person `{key}` was no member of: {}", strange.join(", ")));
    }
    if library.json {
        terminal::json(&changed)?;
    } else if changed.face_sets.iter().flatten().next().is_none() {
        terminal::data(format!("person `{key}` is a member of no face set"));
    } else {
        terminal::data(format!("person `{key}` is{}", member_of(&changed).trim_start_matches(',')));
    }
    Ok(if is_all_strange { Verdict::No } else { Verdict::Done })
}

async fn compare(args: CompareArgs, config: &Config) -> Outcome {
    let CompareArgs { key, photo, far, library } = args;
    let image = photo::read(&photo)?;
    let far = far.map(|far| far.to_string());
    let query: Vec<_> = far.as_deref().map(|far| ("far", far)).into_iter().collect();
    let connection = Connection::open(config, library.tenant(), Needs::Pack).await?;
    let path = ["persons", &key, "compare"];
    let answer: dto::PersonCompared = connection
        .call(Method::POST, &path, &query, Payload::Image(image))
        .await
        .map_err(|error| photo::failure(&photo, error))?;
    if library.json {
        terminal::json(&answer)?;
    } else {
        photo::note_several(&photo, answer.n_faces_in_image, "compared");
        let verdict = if answer.same { "the person" } else { "somebody else" };
        let faces = counted(answer.n_compared, "face");
        terminal::data(format!(
            "similarity  {:.4} to face {}, the most similar of {faces}",
            answer.similarity, answer.face_id
        ));
        terminal::data(format!("FAR         {}", with_interval(&answer.rate)));
        let (far, least) = (rate(answer.far_applied), answer.similarity_min);
        terminal::data(format!("verdict     {verdict} at FAR {far} (threshold {least:.4})"));
    }
    Ok(if answer.same { Verdict::Done } else { Verdict::No })
}

async fn move_faces(args: MoveArgs, config: &Config) -> Outcome {
    let MoveArgs { from, to, ids, library } = args;
    let body = dto::MoveFaces { to: to.clone(), face_ids: ids };
    let connection = Connection::open(config, library.tenant(), Needs::StoreOnly).await?;
    let path = ["persons", &from, "move"];
    let moved: dto::Faces = connection.call(Method::POST, &path, &[], Payload::json(&body)?).await?;
    say_unknown(&from, &moved.unknown);
    if library.json {
        terminal::json(&moved)?;
    } else {
        terminal::data(format!("moved {} of `{from}` to `{to}`", counted(moved.faces.len() as u64, "face")));
    }
    Ok(if moved.faces.is_empty() { Verdict::No } else { Verdict::Done })
}

async fn split(args: SplitArgs, config: &Config) -> Outcome {
    let SplitArgs { from, key, ids, name, note, library } = args;
    let body = dto::SplitPerson { face_ids: ids, key, name, note };
    // Joining a face set needs the pack that it would be made with if it were not there.
    let connection = Connection::open(config, library.tenant(), Needs::Pack).await?;
    let path = ["persons", &from, "split"];
    let made: dto::Person = connection.call(Method::POST, &path, &[], Payload::json(&body)?).await?;
    say_unknown(&from, &made.unknown);
    if library.json {
        terminal::json(&made)?;
    } else {
        let faces = counted(made.n_faces.unwrap_or_default(), "face");
        terminal::data(format!("made person `{}` of {faces} of `{from}`{}", made.key, member_of(&made)));
    }
    Ok(Verdict::Done)
}

/// Names ids of a command that are no faces of the person: a typing error among several would pass unseen.
fn say_unknown(person: &str, ids: &[String]) {
    if !ids.is_empty() {
        terminal::message(format!("no faces of person `{person}`: {}", ids.join(", ")));
    }
}

async fn list(args: ListArgs, config: &Config) -> Outcome {
    let connection = Connection::open(config, args.library.tenant(), Needs::StoreOnly).await?;
    let listed =
        connection.all("persons", |page: &mut dto::Persons| (&mut page.persons, &mut page.next_cursor)).await?;
    if args.library.json {
        terminal::json(&listed)?;
        return Ok(Verdict::Done);
    }
    let columns = [("key", Align::Left), ("faces", Align::Right), ("name", Align::Left)];
    let row = |person: &dto::Person| {
        let n_faces = person.n_faces.map_or("-".to_owned(), |n_faces| n_faces.to_string());
        vec![person.key.clone(), n_faces, person.name.clone().unwrap_or_default()]
    };
    let rows: Vec<_> = listed.persons.iter().map(row).collect();
    if rows.is_empty() {
        terminal::message("there is no person yet");
    } else {
        table::lines(&columns, &rows).iter().for_each(terminal::data);
    }
    Ok(Verdict::Done)
}

async fn show(args: KeyArgs, config: &Config) -> Outcome {
    let connection = Connection::open(config, args.library.tenant(), Needs::StoreOnly).await?;
    let shown: dto::Person = connection.call(Method::GET, &["persons", &args.key], &[], Payload::Empty).await?;
    if args.library.json {
        terminal::json(&shown)?;
        return Ok(Verdict::Done);
    }
    terminal::data(format!("key       {}", shown.key));
    if let Some(name) = &shown.name {
        terminal::data(format!("name      {name}"));
    }
    if let Some(note) = &shown.note {
        terminal::data(format!("note      {note}"));
    }
    if let Some(n_faces) = shown.n_faces {
        terminal::data(format!("faces     {n_faces}"));
    }
    terminal::data(format!("made      {}", shown.created_at));
    for face_set in shown.face_sets.iter().flatten() {
        terminal::data(format!("face set  {face_set}"));
    }
    Ok(Verdict::Done)
}

async fn rename(args: RenameArgs, config: &Config) -> Outcome {
    let RenameArgs { person, key, name, note, library } = args;
    if key.is_none() && name.is_none() && note.is_none() {
        return Err(refused(format!("nothing is said to change of person `{person}`"))
            .with_hint("give some of `--key`, `--name` and `--note`"));
    }
    let body = dto::UpdatePerson { key, name, note };
    let connection = Connection::open(config, library.tenant(), Needs::StoreOnly).await?;
    let path = ["persons", &person];
    let changed: dto::Person = connection.call(Method::PATCH, &path, &[], Payload::json(&body)?).await?;
    if library.json {
        terminal::json(&changed)?;
    } else {
        let name = changed.name.map(|name| format!(", {name}")).unwrap_or_default();
        terminal::data(format!("changed person `{}`{name}", changed.key));
    }
    Ok(Verdict::Done)
}

async fn merge(args: MergeArgs, config: &Config) -> Outcome {
    let MergeArgs { from, into, yes, library } = args;
    let body = dto::MergePerson { from: from.clone() };
    // Joining a face set needs the pack that it would be made with if it were not there.
    let connection = Connection::open(config, library.tenant(), Needs::Pack).await?;
    if !Deed::Merge(&from, &into).is_confirmed(yes)? {
        return Ok(Verdict::No);
    }
    let path = ["persons", &into, "merge"];
    let merged: dto::PersonMerged = connection.call(Method::POST, &path, &[], Payload::json(&body)?).await?;
    if library.json {
        terminal::json(&merged)?;
    } else {
        let faces = counted(merged.n_moved, "face");
        terminal::data(format!("merged person `{from}` with {faces} into `{}`", merged.person.key));
    }
    Ok(Verdict::Done)
}

async fn delete(args: DeleteArgs, config: &Config) -> Outcome {
    let DeleteArgs { which: KeyArgs { key, library }, yes } = args;
    let connection = Connection::open(config, library.tenant(), Needs::StoreOnly).await?;
    let path = ["persons", &key];
    if !Deed::DeletePerson(&key).is_confirmed(yes)? {
        return Ok(Verdict::No);
    }
    let deleted: dto::PersonDeleted = connection.call(Method::DELETE, &path, &[], Payload::Empty).await?;
    if library.json {
        terminal::json(&deleted)?;
    } else {
        let faces = counted(deleted.n_faces, "face");
        terminal::data(format!("deleted person `{}` and {faces}", deleted.deleted));
    }
    Ok(Verdict::Done)
}
